// The slider between two pictures: its value is where the left one ends.
for (const pair of document.querySelectorAll(".compare")) {
  const slider = pair.querySelector("input");
  const move = () => pair.style.setProperty("--at", slider.value + "%");
  slider.addEventListener("input", move);
  move(); // a reloaded page keeps the old value
}
// A link to a definition opens the part that holds it.
for (const link of document.querySelectorAll('th a[href^="#"]')) {
  link.addEventListener("click", () => {
    const parts = document.getElementById(link.hash.slice(1)).closest("details");
    parts.open = true;
  });
}
