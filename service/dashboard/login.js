// Hands the user's key to the service, which keeps it in a cookie that no script can read; then leads back to where the user
// came from.

import "./lib/theme.js";

const form = document.querySelector("#login");
const fault = document.querySelector("#fault");

/** A path of this page, from the address: never another site. */
function destination() {
  const to = new URLSearchParams(location.search).get("to") ?? "/#/";
  const target = new URL(to, location.origin);
  return target.origin === location.origin && to.startsWith("/") ? `${target.pathname}${target.search}${target.hash}` : "/#/";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fault.textContent = "";
  const body = JSON.stringify({ key: form.elements.key.value });
  try {
    const answer = await fetch("/v1/session", { method: "POST", headers: { "content-type": "application/json" }, body });
    if (answer.ok) return location.replace(destination());
    fault.textContent = (await answer.json()).detail;
  } catch {
    fault.textContent = "The service does not answer.";
  }
  return undefined;
});
