// Markdown that people and agents wrote: shown, never trusted. HTML in it stays text.
import Markdown from "react-markdown";
import remarkGfm from "remark-gfm";

// A picture would call its host from every reader's browser, so it is a link.
const parts = {
  a: ({ node, ...props }) => <a {...props} target="_blank" rel="noopener noreferrer nofollow" />,
  img: ({ src, alt }) => (
    <a href={src} target="_blank" rel="noopener noreferrer nofollow">
      {alt || src}
    </a>
  ),
  h1: "h3",
  h2: "h4",
  h3: "h5",
};

export function SafeMarkdown({ text }) {
  return (
    <div className="v-markdown">
      <Markdown remarkPlugins={[remarkGfm]} components={parts}>
        {text ?? ""}
      </Markdown>
    </div>
  );
}
