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

  function draw(plot) {
    const style = getComputedStyle(document.documentElement);
    const figure = JSON.parse(plot.parentElement.querySelector("script").textContent);
    const { data, layout } = coloured(figure, style);
    drawn.add(plot);
    Plotly.react(plot, data, layoutOf(layout, style, plot.clientHeight), { responsive: true, displayModeBar: false });
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

  const again = () => [...drawn].forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("print").addEventListener("change", again);
  addEventListener("beforeprint", () => plots.filter((plot) => plot.clientWidth > 0).forEach(draw));

  // A link to a section that is closed opens it.
  function open() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  }
  addEventListener("hashchange", open);
  open();
})();
