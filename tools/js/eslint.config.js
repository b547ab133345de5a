import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";

// The pages run in a browser: what is not written here is a name that nobody has.
const names = Object.getOwnPropertyNames(globalThis).concat(
  "window document navigator location history localStorage sessionStorage Element Node ResizeObserver Worker".split(" "),
  "MutationObserver IntersectionObserver CSS getComputedStyle requestAnimationFrame cancelAnimationFrame".split(" "),
  "XMLHttpRequest".split(" "),
);

export default [
  js.configs.recommended,
  hooks.configs.flat["recommended-latest"] ?? hooks.configs["recommended-latest"],
  {
    files: ["**/*.js", "**/*.jsx"],
    languageOptions: {
      parserOptions: { ecmaFeatures: { jsx: true } },
      globals: Object.fromEntries(names.map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: { "no-unused-vars": ["error", { varsIgnorePattern: "^[A-Z]" }] },
  },
];
