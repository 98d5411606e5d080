// The waterfall: of all rows only those in sight are in the page. Folds, jumps to errors, and
// shows the chosen span beside it.
(function () {
  "use strict";
  const source = document.getElementById("trace-rows");
  const table = document.getElementById("waterfall");
  if (!source || !table) return;
  const { length, texts, rows, open } = JSON.parse(source.textContent);
  const [KIND, DEPTH, BELOW, LABEL, HUE, START, DURATION, OWN, FLAGS, MARK, TONE, COUNT, ID, PARTS] = Array(14).keys();
  const FAILED = 1, CRITICAL = 2, MORE = 30, DEEPEST = 20, THINNEST = 0.15;
  const SVG = "http://www.w3.org/2000/svg";
  const layout = table.closest(".trace"), panel = document.getElementById("panel");
  const is = (row, kind) => texts[row[KIND]] === kind;

  const folded = new Set();
  rows.forEach((row, index) => { if (is(row, "repeats")) folded.add(index); });
  for (const index of open) folded.delete(index);

  const above = document.createElement("tbody"), body = document.createElement("tbody"), under = document.createElement("tbody");
  for (const gap of [above, under]) {
    gap.className = "gap";
    gap.setAttribute("aria-hidden", "true");
    gap.insertRow().insertCell().colSpan = 4;
  }
  const drawn = new Map();
  let visible = [], height = 28, selected = layout.classList.contains("one") ? panel.firstElementChild.dataset.span : "";

  // --- one row
  function make(name, className, text) {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }
  function milliseconds(ns) {
    const ms = ns / 1e6, digits = ms < 0.995 ? 2 : ms < 9.95 ? 1 : 0;
    return ms.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) + " ms";
  }
  function address(id) {
    const url = new URL(location.href);
    url.searchParams.set("span", id);
    for (const name of ["explain", "part"]) url.searchParams.delete(name);
    return url;
  }
  // A part of the drawing; null where it is outside of what is drawn.
  function shape(name, start, duration, row) {
    const left = Math.max(100 * start / length, 0), right = Math.min(100 * (start + duration) / length, 100);
    if (right < 0 || left > 100) return null;
    const element = document.createElementNS(SVG, name);
    element.setAttribute("class", texts[row[HUE]]);
    element.setAttribute("x", Math.min(left, 100 - THINNEST).toFixed(3) + "%");
    if (name === "rect") element.setAttribute("width", Math.max(right - left, THINNEST).toFixed(3) + "%");
    return element;
  }
  function bar(row) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "bar");
    svg.setAttribute("aria-hidden", "true");
    if (is(row, "fault") || is(row, "log")) {
      const mark = shape("text", row[START], 0, row);
      if (!mark) return svg;
      mark.setAttribute("y", 18);
      mark.textContent = is(row, "fault") ? "◆" : "•";
      svg.append(mark);
      return svg;
    }
    if (is(row, "wait") && !row[DURATION]) return svg;
    const parts = row[PARTS].length ? row[PARTS] : [row[START], row[DURATION]];
    for (let at = 0; at < parts.length; at += 2) {
      const part = shape("rect", parts[at], parts[at + 1], row);
      if (part) svg.append(part);
    }
    return svg;
  }
  function name(row, index) {
    const cell = make("div", "d" + Math.min(row[DEPTH], DEEPEST));
    if (is(row, "wait")) {
      cell.append(make("span", "twist"), make("span", "quiet", "┄ " + texts[row[LABEL]] + " ┄"));
      return cell;
    }
    if (is(row, "fault")) cell.append(make("span", "glyph bad", "◆"));
    else if (is(row, "log")) cell.append(make("span", "glyph " + texts[row[TONE]], "•"));
    else cell.append(make("i", "dot " + texts[row[HUE]]));
    const label = make("a", "label", (is(row, "span") && row[FLAGS] & FAILED ? "✗ " : "") + texts[row[LABEL]]);
    label.href = address(row[ID]);
    label.title = texts[row[LABEL]];
    cell.append(label);
    if (is(row, "repeats")) cell.append(" ", make("b", "", "×" + row[COUNT].toLocaleString("en")));
    if (texts[row[MARK]]) cell.append(" ", make("span", "mark " + texts[row[TONE]], texts[row[MARK]]));
    // Shown before the label, and after it for the keyboard.
    if (row[BELOW]) {
      const twist = make("button", "twist", folded.has(index) ? "▸" : "▾");
      twist.type = "button";
      twist.tabIndex = -1;
      twist.setAttribute("aria-label", (folded.has(index) ? "Unfold " : "Fold ") + texts[row[LABEL]]);
      cell.append(twist);
    } else cell.append(make("span", "twist"));
    return cell;
  }
  function element(index) {
    const row = rows[index], line = make("tr", texts[row[KIND]]);
    line.dataset.index = index;
    line.setAttribute("aria-rowindex", index + 2);
    line.setAttribute("aria-level", row[DEPTH] + 1);
    if (row[BELOW]) line.setAttribute("aria-expanded", String(!folded.has(index)));
    line.classList.toggle("failed", Boolean(row[FLAGS] & FAILED));
    line.classList.toggle("critical", Boolean(row[FLAGS] & CRITICAL));
    mark(line, row);
    const timed = is(row, "span") || is(row, "repeats");
    const cells = [make("td", "name"), make("td", "number took", row[DURATION] ? milliseconds(row[DURATION]) : ""), make("td", "number own quiet", timed ? milliseconds(row[OWN]) : ""), make("td", "time")];
    cells[0].append(name(row, index));
    cells[3].append(bar(row));
    line.append(...cells);
    return line;
  }
  function mark(line, row) {
    const chosen = row[ID] === selected && is(row, "span");
    line.classList.toggle("selected", chosen);
    line.setAttribute("aria-selected", String(chosen));
  }

  // --- the rows in sight
  function choose() {
    visible = [];
    for (let index = 0; index < rows.length; index += 1) {
      visible.push(index);
      if (folded.has(index)) index += rows[index][BELOW];
    }
  }
  function draw() {
    const top = table.tHead.getBoundingClientRect().bottom;
    const first = Math.max(0, Math.floor(-top / height) - MORE);
    const last = Math.min(visible.length, Math.ceil((innerHeight - top) / height) + MORE);
    const from = Math.min(first, visible.length), wanted = visible.slice(from, last), keep = new Set(wanted);
    for (const [index, line] of drawn) if (!keep.has(index)) { line.remove(); drawn.delete(index); }
    let next = body.firstElementChild;
    for (const index of wanted) {
      const known = drawn.get(index);
      if (known && known === next) { next = next.nextElementSibling; continue; }
      const line = known || element(index);
      drawn.set(index, line);
      body.insertBefore(line, next);
    }
    pad(above, from);
    pad(under, visible.length - from - wanted.length);
  }
  function pad(gap, count) {
    gap.hidden = !count;
    gap.rows[0].cells[0].style.height = count * height + "px";
  }
  function redraw() { choose(); drawn.forEach((line) => line.remove()); drawn.clear(); draw(); }
  function reveal(index) {
    for (let each = 0; each < index; each += 1) {
      if (folded.has(each) && each + rows[each][BELOW] >= index) folded.delete(each);
    }
    redraw();
    const place = visible.indexOf(index);
    const top = scrollY + table.tHead.getBoundingClientRect().bottom + place * height;
    if (top < scrollY + 80 || top > scrollY + innerHeight - 80) scrollTo(0, top - innerHeight / 3);
    draw();
    for (const line of body.querySelectorAll(".at")) line.classList.remove("at");
    const line = drawn.get(index);
    line.classList.add("at");
    const link = line.querySelector("a");
    if (link) link.focus({ preventScroll: true });
  }
  function turn(index, shut) {
    if (!rows[index][BELOW] || folded.has(index) === shut) return false;
    if (shut) folded.add(index); else folded.delete(index);
    redraw();
    const link = drawn.get(index) && drawn.get(index).querySelector("a");
    drawn.get(index).classList.add("at");
    if (link) link.focus({ preventScroll: true });
    return true;
  }

  // --- the chosen span
  function show(id, url) {
    selected = id;
    layout.classList.toggle("one", Boolean(id));
    for (const [index, line] of drawn) mark(line, rows[index]);
    const part = new URL(url, location.href);
    panel.setAttribute("aria-busy", "true");
    part.searchParams.set("part", "span");
    fetch(part, { headers: { "HX-Request": "true" }, credentials: "same-origin" })
      .then((response) => { if (!response.ok) throw new Error(response.status); return response.text(); })
      .then((text) => {
        if (selected !== id) return;
        panel.removeAttribute("aria-busy");
        panel.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.children);
        window.otelDjango.tellTimes(panel);
        panel.scrollTop = 0;
        if (id && getComputedStyle(layout.firstElementChild).display === "none") panel.scrollIntoView();
      })
      .catch(() => { location.href = url; });
  }
  function plain(event) { return event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey; }
  document.addEventListener("click", (event) => {
    if (!plain(event)) return;
    const twist = event.target.closest("button.twist");
    if (twist) {
      const index = Number(twist.closest("tr").dataset.index);
      turn(index, !folded.has(index));
      return;
    }
    const shows = event.target.closest("a[data-shows]");
    if (shows) {
      const first = rows.findIndex((row) => row[ID] === shows.dataset.shows && is(row, "span"));
      if (first < 0) return;
      event.preventDefault();
      reveal(first);
      return;
    }
    const inside = event.target.closest("#panel a[data-span], .panel .back a");
    const line = event.target.closest("#waterfall tbody tr[data-index]");
    if (!inside && !line) return;
    if (line && (event.target.closest("button") || String(getSelection()))) return;
    event.preventDefault();
    const id = line ? rows[line.dataset.index][ID] : inside.dataset.span || "";
    const url = address(id);
    if (!id) url.searchParams.delete("span");
    history.pushState({ span: id }, "", url);
    show(id, url);
  });
  addEventListener("popstate", () => show(new URL(location.href).searchParams.get("span") || "", location.href));

  // --- keyboard
  function at() {
    const line = (document.activeElement && document.activeElement.closest("#waterfall tr[data-index]")) || body.querySelector(".at");
    return line ? Number(line.dataset.index) : -1;
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
    const index = at();
    if (event.key === "n") {
      const failed = (row) => row[FLAGS] & FAILED;
      let next = rows.findIndex((row, place) => place > index && failed(row));
      if (next < 0) next = rows.findIndex(failed);
      if (next >= 0) reveal(next);
    } else if (index >= 0 && event.key === "ArrowLeft") { if (turn(index, true)) event.preventDefault(); }
    else if (index >= 0 && event.key === "ArrowRight") { if (turn(index, false)) event.preventDefault(); }
  });

  table.tBodies[0].replaceWith(above, body, under);
  table.setAttribute("role", "treegrid");
  table.setAttribute("aria-rowcount", rows.length + 1);
  choose();
  draw();
  if (drawn.size) height = drawn.values().next().value.getBoundingClientRect().height || height;
  // What sticks does so below the frame, which may be two lines high.
  const frame = document.querySelector("header.frame");
  function fit() {
    const sticks = getComputedStyle(frame).position === "sticky";
    document.documentElement.style.setProperty("--frame", (sticks ? frame.offsetHeight : 0) + "px");
  }
  fit();
  addEventListener("resize", fit);
  let waiting = false;
  function soon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
  if (selected) {
    const index = rows.findIndex((row) => row[ID] === selected && is(row, "span"));
    if (index >= 0) reveal(index);
  }
})();
