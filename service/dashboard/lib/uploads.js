// Files are sent in pieces, so that progress can be shown and a broken upload goes on where it stopped.

import * as api from "./api.js";

const PIECE = 4 << 20;
const TRIES = 5;

/** Bytes that the service has of an upload. */
async function offsetOf(kind, uploadId) {
  const answer = await fetch(`/v1/${kind}/${uploadId}/content`, { method: "HEAD" });
  return Number(answer.headers.get("upload-offset") ?? 0);
}

/** An incomplete upload of the same name and size, to go on with. */
async function begun(kind, file) {
  const { items } = await (kind === "models" ? api.models() : api.datasets());
  return items.find((item) => item.status === "incomplete" && item.name === file.name && item.size_bytes === file.size) ?? null;
}

/**
 * Send a file; `kind`: models or datasets. `progress(share, isResumed)` is called after each piece, 0 to 1. The upload as it is at
 * the end; throws `Refused` if its content is not accepted.
 */
export async function sendFile(kind, file, progress) {
  const earlier = await begun(kind, file);
  const upload = earlier ?? await api.declareUpload(kind, { name: file.name, size_bytes: file.size });
  if (upload.status === "complete") return upload;
  let offset = earlier === null ? 0 : await offsetOf(kind, upload.id);
  let tries = 0;
  progress(offset / file.size, earlier !== null);
  for (;;) {
    let answer;
    try {
      answer = await fetch(`/v1/${kind}/${upload.id}/content`, {
        method: "PATCH",
        headers: { "content-type": "application/octet-stream", "upload-offset": String(offset) },
        body: file.slice(offset, offset + PIECE),
      });
    } catch (error) {
      if (++tries > TRIES) throw error;
      await new Promise((then) => { setTimeout(then, 500 * 2 ** tries); });
      offset = await offsetOf(kind, upload.id);
      continue;
    }
    const document = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new api.Refused({ title: answer.statusText, status: answer.status, ...document });
    tries = 0;
    offset = document.received_bytes;
    progress(offset / file.size, earlier !== null);
    if (document.status === "complete") return document;
  }
}
