// Hands the user's key to the service, which keeps it in a cookie that no script can read.

const form = document.querySelector("#login");
const fault = document.querySelector("#fault");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fault.textContent = "";
  const body = JSON.stringify({ key: form.elements.key.value });
  try {
    const answer = await fetch("/v1/session", { method: "POST", headers: { "content-type": "application/json" }, body });
    if (answer.ok) return location.replace("/");
    fault.textContent = (await answer.json()).detail;
  } catch {
    fault.textContent = "The service does not answer.";
  }
  return undefined;
});
