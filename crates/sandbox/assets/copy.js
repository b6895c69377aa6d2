"use strict";
// The copy buttons are hidden until here, as they do nothing without this script.
for (const button of document.querySelectorAll("button[data-copies]")) {
  const source = document.getElementById(button.dataset.copies);
  if (!source || !navigator.clipboard) {
    continue;
  }
  const label = button.textContent;
  const status = document.getElementById("copy-status");
  let timer;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Refused by the browser: select the command, so that it can be copied by hand.
      getSelection().selectAllChildren(source);
      return;
    }
    button.textContent = button.dataset.copied;
    if (status) {
      status.textContent = button.dataset.copied;
    }
    clearTimeout(timer);
    timer = setTimeout(() => {
      button.textContent = label;
      if (status) {
        status.textContent = "";
      }
    }, 2000);
  });
}
