// The slider between two pictures: its value is where the left one ends.
function connectSlider(pair) {
  const slider = pair.querySelector("input");
  const move = () => pair.style.setProperty("--at", slider.value + "%");
  slider.addEventListener("input", move);
  move(); // a reloaded page keeps the old value
}
document.querySelectorAll(".compare").forEach(connectSlider);
// A link to a definition opens the part that holds it.
for (const link of document.querySelectorAll('th a[href^="#"]')) {
  link.addEventListener("click", () => {
    document.getElementById(link.hash.slice(1)).closest("details").open = true;
  });
}
