// What a browser sends beside its login cookie. A cookie goes to every port of its host; this
// storage belongs to one origin (scheme, host and port), so no page of another one has the key.
(() => {
  const NAME = "vibe.key";
  const key = () => window.localStorage.getItem(NAME) ?? "";

  // What a person is told of an answer that is no success, or none of the board's own
  // (the page brings the words: vibe_app/web/front.py).
  const words = JSON.parse(document.currentScript?.dataset.words ?? "{}");
  const told = (status, body) =>
    body?.error || (words[status] ?? words.other ?? "{status}").replace("{status}", status);

  window.vibeDoor = {
    told,
    // An answer of the board's interface: what it holds, and `error` where it is no success.
    read: async (answer) => {
      const body = answer.status === 204 ? {} : await answer.json().catch(() => null);
      return answer.ok && body ? { body } : { body, error: told(answer.status, body) };
    },
    keep: (given) => window.localStorage.setItem(NAME, given),
    forget: () => window.localStorage.removeItem(NAME),
    headers: () => ({ "X-Vibe-Key": key() }),
    // For what can send no header: a picture, a link to download.
    address: (url) => `${url}${url.includes("?") ? "&" : "?"}key=${encodeURIComponent(key())}`,
  };

  // Reflex 0.10.1 shows each event to this hook before it is sent. The first one travels in the
  // packet that opens the connection, where the server takes the key out (vibe_app/web/handshake.py).
  window.__reflex_otel = {
    onEventSend: (event) => {
      if (event.name.endsWith(".hydrate_and_load")) event.key = key();
    },
  };
})();
