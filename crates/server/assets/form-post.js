"use strict";
// Called through the prototype, since a field may be named "submit".
const form = document.getElementById("form-post");
if (form) {
  HTMLFormElement.prototype.submit.call(form);
}
