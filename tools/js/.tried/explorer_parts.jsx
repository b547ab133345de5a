// What several parts of the explorer show: grey lines, and a sentence in the place of a view.
export function Skeleton({ lines = 8 }) {
  return (
    <div className="v-skeletons ve-skeletons" aria-busy="true" aria-label="Loading" role="img">
      {Array.from({ length: lines }, (_, line) => (
        <div key={line} className="v-skeleton" style={{ height: 16, width: `${[70, 45, 82, 60, 33][line % 5]}%` }} />
      ))}
    </div>
  );
}

export function Notice({ title, text, children }) {
  return (
    <div className="v-empty">
      <h2>{title}</h2>
      <p>{text}</p>
      <div className="v-row">{children}</div>
    </div>
  );
}
