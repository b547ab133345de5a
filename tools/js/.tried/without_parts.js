// No library: this stands in the page itself, and says so where the page's other parts do not come.
{
  const { pages = "", below = "", missing = "" } = document.currentScript?.dataset ?? {};
  addEventListener("DOMContentLoaded", () => {
    if (window.vibeDoor) return;
    const path = location.pathname.replace(new RegExp(`/(${pages})?/?$`), "");
    const words = document.createElement("p");
    words.setAttribute("role", "alert");
    words.style.cssText = "margin: 15vh auto; padding: 0 16px; max-width: 40em; font: 16px/1.5 sans-serif";
    words.textContent = path ? below.replace("{path}", path) : missing;
    document.body.replaceChildren(words);
  });
}
