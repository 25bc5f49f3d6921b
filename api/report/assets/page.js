// Draws each figure when it first comes into sight, in the colours of the style sheet, and again when those change.
(() => {
  "use strict";
  const drawn = new Set();

  // A colour is told by its name, `{ink}`: what the style sheet says of it now stands in its place.
  function coloured(value, style) {
    if (typeof value === "string") {
      const token = /^\{(\w+)\}$/.exec(value);
      return token ? style.getPropertyValue("--" + token[1]).trim() || value : value;
    }
    if (Array.isArray(value)) return value.map((each) => coloured(each, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coloured(each, style)]));
    }
    return value;
  }

  function layoutOf(own, style, height) {
    const ink = style.getPropertyValue("--ink").trim();
    const line = style.getPropertyValue("--line").trim();
    const paper = style.getPropertyValue("--paper").trim();
    const layout = {
      height,
      margin: { l: 60, r: 20, t: 36, b: 48, pad: 4 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink },
      hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink } },
      dragmode: false,
      ...own,
    };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      const axis = { automargin: true, linecolor: line, tickcolor: line, gridcolor: line, ...layout[name] };
      layout[name] = axis.title ? { ...axis, title: { standoff: 12, ...axis.title } } : axis;
    }
    return layout;
  }

  // Names of a map: which are written, and on which side of their points, is told for some widths by a digit each.
  const SIDES = ["", "top center", "bottom center", "middle right", "middle left"];

  function named(trace, width, paper) {
    const told = trace.meta && trace.meta.sides;
    if (!told) return trace;
    const fitting = told.filter(([least]) => least <= width);
    const digits = [...(fitting.length ? fitting[fitting.length - 1][1] : "")].map(Number);
    const text = trace.text.map((name, k) => (digits[k] ? name : ""));
    const textposition = trace.text.map((_, k) => SIDES[digits[k]] || SIDES[1]);
    const shadow = Array(4).fill("0 0 2px " + paper).join(", "); // lines run below names
    return { ...trace, text, textposition, textfont: { ...trace.textfont, shadow } };
  }

  // A map is not higher than what it shows is, which on a narrow page is less than it may be; its legend is higher there.
  function fitted(plot, layout) {
    const { ratio, beside, above, legend } = layout.meta || {};
    if (!ratio) return layout;
    plot.dataset.height ||= plot.clientHeight;
    const high = Math.round((plot.clientWidth - beside) * ratio) + above + legend;
    const narrow = high < plot.dataset.height;
    plot.style.height = (narrow ? high : plot.dataset.height) + "px";
    return narrow ? { ...layout, margin: { l: 60, r: 20, t: 36 + legend, b: 48, pad: 4 } } : layout;
  }

  function draw(plot) {
    const style = getComputedStyle(document.documentElement);
    const figure = JSON.parse(plot.parentElement.querySelector("script").textContent);
    const { data, layout } = coloured(figure, style);
    const paper = style.getPropertyValue("--paper").trim();
    const traces = data.map((trace) => named(trace, plot.clientWidth, paper));
    drawn.add(plot);
    const own = fitted(plot, layout);
    Plotly.react(plot, traces, layoutOf(own, style, plot.clientHeight), { responsive: true, displayModeBar: false });
  }

  const plots = [...document.querySelectorAll(".plot")];
  const sight = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((each) => each.isIntersecting)) {
        sight.unobserve(entry.target);
        draw(entry.target);
      }
    },
    { rootMargin: "600px" },
  );
  plots.forEach((plot) => sight.observe(plot));

  // What is not to be seen now has no width: it is drawn when it comes into sight again.
  function again() {
    for (const plot of [...drawn]) {
      if (plot.clientWidth > 0) {
        draw(plot);
      } else {
        drawn.delete(plot);
        sight.observe(plot);
      }
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("print").addEventListener("change", again);
  let resized = 0;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(again, 200);
  });

  // Paper has no clicks: all sections are open on it. Charts are drawn before the style sheet is that of paper.
  let closed = [];
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const each of closed) each.open = true;
    plots.forEach(draw);
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    for (const each of closed) each.open = false;
    closed = [];
    again();
  });

  // A link to a section that is closed opens it.
  function open() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  }
  addEventListener("hashchange", open);
  open();
})();
