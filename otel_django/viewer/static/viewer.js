// What pages do beyond reading, which works without it. No page's own script is in here.
(function () {
  "use strict";
  const PAGES = { o: "overview", b: "dashboard", t: "traces", l: "logs", m: "metrics", e: "endpoints", d: "database", c: "cache", k: "tasks", r: "errors", s: "services", h: "health", a: "alerts" };

  // --- times: local, with the zone in the title; ages go on
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const two = (number) => String(number).padStart(2, "0");
  function clock(moment) {
    return two(moment.getHours()) + ":" + two(moment.getMinutes()) + ":" + two(moment.getSeconds()) + "." + String(moment.getMilliseconds()).padStart(3, "0");
  }
  function day(moment) {
    return two(moment.getMonth() + 1) + "-" + two(moment.getDate()) + " " + clock(moment).slice(0, 8);
  }
  function age(seconds) {
    if (seconds < 1) return "just now";
    for (const [length, sign] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= length) return Math.floor(seconds / length) + " " + sign + " ago";
    }
    return Math.floor(seconds) + " s ago";
  }
  function tellTimes(root) {
    for (const element of root.querySelectorAll("time[data-shown]")) {
      const moment = new Date(element.dateTime);
      if (isNaN(moment)) continue;
      element.title = moment.toLocaleString() + " " + zone;
      const told = { clock: clock, moment: day }[element.dataset.shown];
      element.textContent = told ? told(moment) : age((Date.now() - moment) / 1000);
    }
  }

  // --- forms that submit themselves
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submits]")) event.target.form.submit();
  });

  // --- rows: j, k, Enter, and a click anywhere on one
  function rows() { return Array.from(document.querySelectorAll("table.rows tbody tr, [data-row]")).filter((row) => row.offsetParent !== null); }
  function step(by) {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("at"));
    const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by))];
    if (at >= 0) all[at].classList.remove("at");
    next.classList.add("at");
    next.scrollIntoView({ block: "nearest" });
    const link = next.querySelector("a, summary, button");
    if (link) link.focus({ preventScroll: true });
  }

  // --- keyboard
  let going = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, textarea, select, dialog");
    if (typing) { if (event.key === "Escape") event.target.blur(); return; }
    if (going) {
      going = false;
      const link = PAGES[event.key] && document.querySelector('.frame nav a[data-page="' + PAGES[event.key] + '"]');
      if (link) link.click();
      return;
    }
    if (event.key === "/") {
      const search = document.querySelector('input[type="search"]');
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "g") { going = true; setTimeout(() => { going = false; }, 1200); }
    else if (event.key === "l") { const live = document.getElementById("live"); if (live) live.click(); }
    else if (event.key === "?") document.getElementById("keys").showModal();
  });

  // --- dark and light
  const theme = document.getElementById("theme");
  if (theme) theme.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("otel_django.theme", root.dataset.theme); } catch (error) { /* no storage */ }
    document.dispatchEvent(new Event("otel:theme"));
  });
  const help = document.getElementById("help");
  if (help) help.addEventListener("click", () => document.getElementById("keys").showModal());

  // --- copying
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copies]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copies);
    navigator.clipboard.writeText(source ? source.textContent : button.dataset.text || location.href).then(() => {
      const was = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = was; }, 1200);
    });
  });

  // --- what takes longer than 300 ms, if somebody waits for it
  const loading = document.getElementById("loading");
  let waiting = 0, slow = 0;
  function wait() {
    if (!waiting++) slow = setTimeout(() => { loading.hidden = false; document.getElementById("main").setAttribute("aria-busy", "true"); }, 300);
  }
  function go() {
    waiting = 0;
    clearTimeout(slow);
    loading.hidden = true;
    document.getElementById("main").removeAttribute("aria-busy");
  }
  window.addEventListener("beforeunload", wait);
  window.addEventListener("pageshow", (event) => { if (event.persisted) go(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && waiting) go(); });

  // --- a site that doesn't answer: what asks by itself does so less and less often
  const MOST_WAIT_S = 30;
  const offline = document.getElementById("offline");
  let last = Date.now(), failures = 0, next = 0;
  const polls = new WeakSet();
  function trouble(request) {
    const again = Number(request.getResponseHeader("Retry-After"));
    failures += 1;
    next = Date.now() + 1000 * (again || Math.min(MOST_WAIT_S, 2 ** failures));
    const why = { 0: "The site doesn't answer.", 403: "You may no longer look at this: log in, and load the page again.", 404: "This is no longer kept.", 429: "The site was asked too often." };
    offline.firstElementChild.textContent = why[request.status] || "The site answers that something is wrong (" + request.status + ").";
    offline.hidden = false;
    tellAge();
  }
  function tellAge() {
    if (offline.hidden) return;
    const seconds = Math.max(1, (Date.now() - last) / 1000), until = Math.ceil((next - Date.now()) / 1000);
    const asks = document.querySelector('[hx-trigger^="every"]');
    offline.lastElementChild.textContent = "What is shown is " + age(seconds).replace(" ago", "") + " old." + (asks ? (until > 0 ? " Asking again in " + until + " s." : " Asking again …") : "");
  }
  setInterval(tellAge, 1000);
  document.addEventListener("htmx:beforeRequest", (event) => {
    const { elt, xhr } = event.detail;
    if (!elt.matches('[hx-trigger^="every"]')) wait();
    else if (Date.now() < next) event.preventDefault();
    else polls.add(xhr);
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, successful } = event.detail;
    if (!polls.has(xhr)) go();
    if (!successful) return;
    if (polls.has(xhr)) last = Date.now();
    failures = next = 0;
    offline.hidden = true;
  });
  for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => trouble(event.detail.xhr));
  }

  // --- on a phone the pages' names are wider than the screen
  const here = document.querySelector(".frame nav [aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 40;

  tellTimes(document);
  setInterval(() => tellTimes(document), 10000);
  document.addEventListener("htmx:load", (event) => tellTimes(event.detail.elt));
  window.otelDjango = { tellTimes: tellTimes };
})();
