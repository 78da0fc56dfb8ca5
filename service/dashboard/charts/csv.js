// Numbers as CSV, for spreadsheets.

const quoted = (value) => {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // no formula of a spreadsheet
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

/** `columns` and `rows` as CSV (RFC 4180). */
export const toCsv = ({ columns, rows }) => `${[columns, ...rows].map((row) => row.map(quoted).join(",")).join("\n")}\n`;
