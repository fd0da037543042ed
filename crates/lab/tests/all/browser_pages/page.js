document.querySelector("#ask").addEventListener("click", () => {
  setTimeout(() => { document.querySelector("#told").textContent = "told"; }, 50);
});
