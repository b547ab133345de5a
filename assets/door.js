// No library: the browser's own storage. What it sends beside its login cookie. A cookie goes to every
// port of its host; this storage belongs to one origin (scheme, host and port), so no page of another
// one has the key. The words come from the page (`data-words`).
(() => {
  const NAME = "vibe.key";
  const key = () => localStorage.getItem(NAME) ?? "";
  const words = JSON.parse(document.currentScript?.dataset.words ?? "{}");
  const told = (status, body) =>
    body?.error || (words[status] ?? words.other ?? "{status}").replace("{status}", status);

  window.vibeDoor = {
    // What an answer holds, and `error` where it is no success of the server's own.
    read: async (answer) => {
      const body = answer.status === 204 ? {} : await answer.json().catch(() => null);
      return answer.ok && body ? { body } : { body, error: told(answer.status, body) };
    },
    keep: (given) => localStorage.setItem(NAME, given),
    // What was typed is nobody else's either.
    forget: () => (localStorage.removeItem(NAME), sessionStorage.clear()),
    headers: () => ({ "X-Vibe-Key": key() }),
    // For what can send no header: a picture, a link to download.
    address: (url) => `${url}${url.includes("?") ? "&" : "?"}key=${encodeURIComponent(key())}`,
  };

  // Reflex 0.10.1 shows each event to this hook before it is sent; the first one opens the connection.
  window.__reflex_otel = {
    onEventSend: (event) => {
      if (event.name.endsWith(".hydrate_and_load")) event.key = key();
    },
  };
})();
