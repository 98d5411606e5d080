// What the pointer or the keyboard is on stands out of the map, and is told in words below it.
(function () {
  "use strict";
  const map = document.querySelector("figure.map");
  const words = document.getElementById("map-details");
  if (!map || !words) return;
  const usual = words.textContent;
  const lines = Array.from(map.querySelectorAll("a.line"));
  const boxes = Array.from(map.querySelectorAll("a.box"));

  function show(element) {
    const line = element && element.closest("a.line");
    const box = element && element.closest("a.box");
    map.classList.toggle("chosen", Boolean(line || box));
    const near = new Set();
    for (const each of lines) {
      const name = box && box.dataset.box;
      const is = each === line || (box && (each.dataset.from === name || each.dataset.to === name));
      each.classList.toggle("near", Boolean(is));
      if (is) near.add(each.dataset.from).add(each.dataset.to);
    }
    for (const each of boxes) each.classList.toggle("near", each === box || near.has(each.dataset.box));
    words.textContent = line ? line.getAttribute("aria-label") : usual;
  }

  map.addEventListener("pointerover", (event) => show(event.target));
  map.addEventListener("pointerleave", () => show(null));
  map.addEventListener("focusin", (event) => show(event.target));
  map.addEventListener("focusout", () => show(null));
})();
