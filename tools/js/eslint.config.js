import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";

// The pages run in a browser: what is not written here is a name that nobody has.
const names = Object.getOwnPropertyNames(globalThis).concat(
  "window document navigator location history localStorage sessionStorage Element Node ResizeObserver Worker".split(" "),
  "MutationObserver IntersectionObserver CSS getComputedStyle requestAnimationFrame cancelAnimationFrame".split(" "),
  "XMLHttpRequest KeyboardEvent".split(" "),
);
const made = [".web/**", "**/.tried/said.js"];
// What Reflex writes by itself, and says nothing of what is written in Python.
const quiet = [
  "no-unreachable no-constant-condition no-constant-binary-expression no-empty-pattern".split(" "),
  "no-extra-boolean-cast no-control-regex".split(" "),
].flat();
const forNothing = "^([A-Z]|(useEffect|isTrue|applyEventActions|getRefValues?|form_data|setWaitedForBackend)$|index_)";
const ours = [js.configs.recommended, hooks.configs.flat["recommended-latest"] ?? hooks.configs["recommended-latest"]];

export default [
  ...ours.map((each) => ({ ...each, ignores: made })),
  {
    files: ["**/*.js", "**/*.jsx"],
    languageOptions: {
      parserOptions: { ecmaFeatures: { jsx: true } },
      globals: Object.fromEntries(names.map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
  },
  { ignores: made, rules: { "no-unused-vars": ["error", { varsIgnorePattern: "^[A-Z]" }] } },
  {
    // What Python says to the browser: the compiled pages, and the texts that handlers send.
    files: made,
    plugins: { "react-hooks": hooks },
    rules: {
      ...js.configs.recommended.rules,
      ...Object.fromEntries(quiet.map((rule) => [rule, "off"])),
      "no-unused-vars": ["error", { args: "none", varsIgnorePattern: forNothing }],
      "react-hooks/rules-of-hooks": "error",
    },
  },
];
