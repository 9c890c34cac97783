// Draws the charts in the colours of the page, again when these change or an entry of the legend is toggled.
const dark = matchMedia("(prefers-color-scheme: dark)");
const touch = matchMedia("(pointer: coarse)").matches;
const config = {
  showSendToCloud: false, plotlyServerURL: "", // nothing is to leave this page
  displaylogo: false, responsive: true, displayModeBar: touch ? false : "hover",
  modeBarButtonsToRemove: ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
};

function draw(chart) {
  const style = getComputedStyle(document.documentElement);
  const coloured = chart.querySelector("script").textContent.replace(/"var\((--\w+)\)"/g,
    (_, name) => JSON.stringify(style.getPropertyValue(name).trim()));
  const figure = JSON.parse(coloured);
  for (const trace of figure.data) {
    const tick = document.getElementById("show-" + trace.legendgroup);
    trace.visible = !tick || tick.checked;
  }
  if (touch) figure.layout.dragmode = false; // a finger that scrolls past does not zoom
  return Plotly.react(chart.querySelector(".plot"), figure.data, figure.layout, config);
}

async function drawAll() { // one after the other, so that the page can be read meanwhile
  for (const chart of document.querySelectorAll(".chart")) {
    await draw(chart);
    await new Promise(resolve => setTimeout(resolve));
  }
  document.documentElement.dataset.drawn = "yes";
}

const legend = document.querySelector(".legend");
legend.addEventListener("change", drawAll);
legend.querySelector("button").addEventListener("click", () => {
  const ticks = [...legend.querySelectorAll("input")];
  const none = !ticks.some(tick => tick.checked);
  for (const tick of ticks) tick.checked = none;
  drawAll();
});
dark.addEventListener("change", drawAll);
drawAll();
