(() => {
  const tip = document.getElementById("tip");
  const time = us => us === 0 ? "–" : us < 1000 ? us + " µs" : us < 1e6 ? (us / 1000).toFixed(1) + " ms" : (us / 1e6).toFixed(2) + " s";
  for (const chart of document.querySelectorAll(".chart")) {
    const { left, right, width, end, column, values } = chart.dataset;
    const rows = values ? values.split(";").map(row => row.split(",").map(Number)) : [];
    const cross = chart.querySelector(".cross");
    chart.addEventListener("pointermove", event => {
      const box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) * width / box.width;
      const share = (x - left) / (width - left - right);
      if (share < 0 || share > 1) { cross.style.visibility = "hidden"; tip.hidden = true; return; }
      const at = share * end;
      const row = rows[Math.floor(at / column)] || [0, 0, 0, 0, 0];
      cross.setAttribute("x1", x);
      cross.setAttribute("x2", x);
      cross.style.visibility = "visible";
      tip.textContent = (at / 1000).toFixed(1) + " s\n" + row[0] + " answers/s, " + row[1] + " writes/s\np50 " + time(row[2]) + ", p99 " + time(row[3]) + (row[4] ? "\n" + row[4] + " unknown" : "");
      tip.hidden = false;
      const over = event.clientX + 220 > innerWidth;
      tip.style.left = (event.clientX + (over ? -200 : 16)) + "px";
      tip.style.top = (event.clientY + 16) + "px";
    });
    chart.addEventListener("pointerleave", () => { cross.style.visibility = "hidden"; tip.hidden = true; });
  }
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const line = button.previousElementSibling;
      try {
        await navigator.clipboard.writeText(line.textContent);
        button.textContent = "copied";
      } catch {
        // Pages from a disk may not have a clipboard: then the line is selected, for Ctrl-C.
        getSelection().selectAllChildren(line);
        button.textContent = document.execCommand("copy") ? "copied" : "press Ctrl-C";
      }
    });
  }
})();
