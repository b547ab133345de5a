// Runs in every page of a bench before anything else: notes when what is asked for is shown.
(() => {
  const probe = (window.probe = { lines: [], last: 0, answers: [] });

  // Calls `look` now and at each change of the page until it returns something.
  probe.until = (look, root = document) =>
    new Promise((resolve) => {
      const check = () => {
        const found = look();
        if (!found) return false;
        observer.disconnect();
        resolve(found);
        return true;
      };
      const observer = new MutationObserver(check);
      observer.observe(root, { subtree: true, childList: true, attributes: true, characterData: true });
      check();
    });

  // Notes for each line "L<number> " when it, or one after it, was first in `root`.
  probe.watchLines = (root) => {
    const look = () => {
      // From the end, as a bare page has many children: looking must not cost it more than the panel.
      let top = probe.last;
      for (let row = root.lastElementChild; row && top === probe.last; row = row.previousElementSibling) {
        const found = /\bL(\d+) /.exec(row.textContent);
        if (found && Number(found[1]) <= top) return;
        if (found) top = Number(found[1]);
      }
      const now = Date.now();
      while (probe.last < top) probe.lines[++probe.last] = now;
    };
    new MutationObserver(look).observe(root, { subtree: true, childList: true, characterData: true });
    look();
  };

  // Notes for each following `type` event how long after it `look` came true.
  probe.answer = (type, look) =>
    new Promise((resolve) => {
      document.addEventListener(
        type,
        (event) => {
          const at = event.timeStamp;
          probe.until(look).then(() => resolve(performance.now() - at));
        },
        { capture: true, once: true },
      );
    });

  // When the first card was there, in milliseconds since the navigation began.
  probe.until(() => document.querySelector("[data-card-id]")).then(() => {
    probe.firstCard = performance.now();
  });
})();
