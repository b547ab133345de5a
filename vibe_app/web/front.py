"""What a page says whose parts do not come, as below a path of another site, where `/assets` is that site's.

It stands in the page itself, since nothing else would come either; the policy of the
pages allows it by its hash (`vibe_app/api/headers.py`).
"""

WITHOUT_PARTS = r"""
document.addEventListener("DOMContentLoaded", function () {
  if (window.vibeDoor) return;
  var path = location.pathname.replace(/\/(login|setup|settings|p\/.*)?\/?$/, "");
  var words = document.createElement("p");
  words.setAttribute("role", "alert");
  words.style.cssText = "margin: 15vh auto; padding: 0 16px; max-width: 40em; font: 16px/1.5 sans-serif";
  words.textContent = path
    ? "Vibe does not run under a path (" + path + "/). Give it a host name or a port of its own."
    : "The parts of this page do not come. Load it again; if they still do not, what stands in front of " +
      "Vibe does not pass them on.";
  document.body.replaceChildren(words);
});
"""
"""Shown in the place of the page when the first of its parts, `/door.js`, did not come."""
