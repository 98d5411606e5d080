// Before anything is drawn: the scheme that was chosen last, else the system's.
(function () {
  "use strict";
  var chosen = null;
  try { chosen = localStorage.getItem("otel_django.theme"); } catch (error) { /* no storage */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  document.documentElement.classList.add("scripted");
})();
