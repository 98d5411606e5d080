// The log page while it is live: it follows the end, and waits while one reads further up.
(function () {
  "use strict";
  const tail = document.getElementById("tail");
  const MOST = 1000;
  if (window.matchMedia("(max-width: 720px)").matches) {
    const facets = document.querySelector("details.facets");
    if (facets) facets.open = false;
  }
  const chosen = document.querySelector(".line.this summary");
  if (chosen) chosen.scrollIntoView({ block: "center" });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.matches(".detail")) event.detail.target.closest(".line").scrollIntoView({ block: "nearest" });
  });
  if (!tail) return;
  const resume = document.getElementById("resume"), following = document.getElementById("following");
  let follows = true;

  function atEnd() { return tail.scrollHeight - tail.scrollTop - tail.clientHeight < 24; }
  function toEnd() { tail.scrollTop = tail.scrollHeight; }
  function follow(wanted) {
    follows = wanted;
    resume.hidden = wanted;
    following.hidden = !wanted;
  }
  tail.addEventListener("scroll", () => { if (follows !== atEnd()) follow(atEnd()); });
  // One who reads a line doesn't want it to go away.
  tail.addEventListener("toggle", (event) => { if (event.target.open) follow(false); }, true);
  resume.addEventListener("click", () => { toEnd(); follow(true); tail.focus({ preventScroll: true }); });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.matches("[data-poll]") && !follows) event.preventDefault();
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (!follows) return;
    const lines = tail.querySelectorAll(".line");
    for (let at = 0; at < lines.length - MOST; at++) lines[at].remove();
    toEnd();
  });
  toEnd();
})();
