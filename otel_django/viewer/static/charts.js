// Draws every <div class="chart" data-chart="ID"> from the JSON in the element of that id:
// {title, unit, series: [{name, colour, points: [...]}], times: [s, ...], marks?, thresholds?, dots?, stacked?}
(function () {
  "use strict";
  const SCALES = {
    s: [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]],
    By: [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]],
  };
  // The least distance of ticks, what they say, and what they add where a year, month, day begins.
  const TIMES = [
    [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  ];
  function figure(value, unit) {
    if (value === null || value === undefined) return "–";
    if (unit === "1" || unit === "s/s") return Number((100 * value).toPrecision(3)).toLocaleString() + " %";
    if (value === 0 && unit === "s") return "0 s";
    const [plain, per] = (unit || "").split("/");
    if (per) return figure(value, SCALES[plain] ? plain : "") + "/" + per;
    const scale = (SCALES[unit] || [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]]).find((each) => Math.abs(value) >= each[0]);
    const [size, sign] = scale || (SCALES[unit] || [[1, ""]]).slice(-1)[0];
    const text = Number((value / size).toPrecision(3)).toLocaleString();
    const rest = SCALES[unit] || !unit || unit[0] === "{" ? "" : unit;
    return (text + " " + sign + rest).trim();
  }
  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }
  const sync = uPlot.sync("time");
  const drawn = [];

  function draw(element) {
    const source = document.getElementById(element.dataset.chart);
    const host = element.querySelector(".plot") || element;
    if (!source || drawn.some((each) => each[1] === host)) return;
    const chart = JSON.parse(source.textContent);
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 }, font: "11px system-ui" };
    const top = Math.max(0, ...(chart.dots || []).map((dot) => dot.value), ...(chart.thresholds || []).slice(0, 1).map((limit) => limit.value));
    const options = {
      width: Math.max(200, host.clientWidth), height: Number(element.dataset.height) || 160,
      legend: { markers: { dash: (plot, index) => (index && chart.series[index - 1].dash ? "dashed" : "solid") } },
      cursor: { sync: { key: sync.key }, drag: { x: true, y: false, setScale: false } },
      scales: { y: { range: (plot, low, high) => [Math.min(0, low || 0), Math.max(high, top) > 0 ? Math.max(high, top) * 1.08 : 1] } },
      axes: [{ ...axis, values: TIMES }, { ...axis, size: 64, values: (plot, values) => values.map((value) => figure(value, chart.unit)) }],
      series: [{}, ...chart.series.map((series) => ({
        label: series.name, stroke: colour(series.colour || "code"), width: 1.5, spanGaps: false, dash: series.dash,
        points: { show: false, size: 4, filter: (plot, index) => (series.bars ? [] : lone(plot.data[index])) },
        paths: series.bars ? uPlot.paths.bars({ size: [0.8] }) : undefined,
        fill: series.bars ? colour(series.colour || "code") : undefined,
        value: (plot, value, at, index) => figure(chart.stacked ? series.points[index] : value, chart.unit),
      }))],
      hooks: {
        ready: [(plot) => { for (const dot of chart.dots || []) place(plot, host, dot); }],
        setSelect: [(plot) => {
          if (plot.select.width < 4) return;
          const from = plot.posToVal(plot.select.left, "x"), to = plot.posToVal(plot.select.left + plot.select.width, "x");
          const address = new URL(location.href);
          address.searchParams.delete("range");
          address.searchParams.set("from", Math.round(from * 1000));
          address.searchParams.set("to", Math.round(to * 1000));
          location.href = address.href;
        }],
        drawClear: [(plot) => {
          (chart.thresholds || []).forEach((limit, number) => line(plot, limit.value, limit.name, number));
          for (const mark of chart.marks || []) upright(plot, mark.time, mark.name);
        }],
      },
    };
    if (chart.stacked) {
      const half = (chart.times[1] - chart.times[0]) / 2 || 30;
      options.scales.x = { range: (plot, low, high) => [low - half, high + half] };
    }
    host.replaceChildren();
    const plot = new uPlot(options, [chart.times, ...(chart.stacked ? piled(chart.series) : chart.series.map((series) => series.points))], host);
    drawn.push([plot, host]);
  }

  // Each series stands on those after it, which are drawn over it.
  function piled(all) {
    return all.map((series, number) => series.points.map((value, at) => all.slice(number).reduce((sum, each) => sum + each.points[at], 0) || null));
  }

  // Values between two gaps, which no line shows.
  function lone(values) {
    const there = (at) => values[at] !== null && values[at] !== undefined;
    return values.map((value, at) => at).filter((at) => there(at) && !there(at - 1) && !there(at + 1));
  }

  // Names stand one behind the other, as lines may be close together.
  function line(plot, value, name, number) {
    const y = plot.valToPos(value, "y", true), context = plot.ctx;
    if (y < plot.bbox.top) return;
    context.save();
    context.strokeStyle = context.fillStyle = colour("warn");
    context.setLineDash([4, 4]);
    context.beginPath();
    context.moveTo(plot.bbox.left, y);
    context.lineTo(plot.bbox.left + plot.bbox.width, y);
    context.stroke();
    context.fillText(name, plot.bbox.left + 4 + number * 72 * devicePixelRatio, y - 4);
    context.restore();
  }

  // A deployment.
  function upright(plot, time, name) {
    const x = plot.valToPos(time, "x", true), context = plot.ctx;
    if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) return;
    context.save();
    context.strokeStyle = context.fillStyle = colour("quiet");
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(x, plot.bbox.top);
    context.lineTo(x, plot.bbox.top + plot.bbox.height);
    context.stroke();
    context.textAlign = x > plot.bbox.left + 0.8 * plot.bbox.width ? "right" : "left";
    context.fillText("▲ " + name, x + (context.textAlign === "right" ? -4 : 4), plot.bbox.top + 10 * devicePixelRatio);
    context.restore();
  }

  // An exemplar: a link over the plot, so that the keyboard reaches it.
  function place(plot, host, dot) {
    const link = document.createElement("a");
    link.className = "exemplar";
    link.href = dot.address;
    link.title = dot.title;
    link.setAttribute("aria-label", dot.title);
    link.style.left = plot.over.offsetLeft + plot.valToPos(dot.time, "x") - 4 + "px";
    link.style.top = plot.over.offsetTop + plot.valToPos(dot.value, "y") - 4 + "px";
    host.style.position = "relative";
    host.append(link);
  }

  function drawAll(root) { for (const element of root.querySelectorAll("[data-chart]")) draw(element); }
  let waiting = 0;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 150); });
  document.addEventListener("otel:theme", redraw);
  document.addEventListener("htmx:afterSwap", () => {
    for (const gone of drawn.filter((each) => !each[1].isConnected)) {
      gone[0].destroy();
      drawn.splice(drawn.indexOf(gone), 1);
    }
    drawAll(document);
  });
  function redraw() { drawn.splice(0).forEach(([plot]) => plot.destroy()); drawAll(document); }
  drawAll(document);
})();
