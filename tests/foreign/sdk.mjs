// The official SDK for Node.js, used on a server as its readers are told to: sdk.mjs ADDRESS.
// What it gets is printed as JSON.
import { createRequire } from "node:module";

const { default: OpenAI, toFile } = createRequire(process.env.INSTALLED)("openai");
const [, , baseURL, apiKey] = process.argv;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

async function ended(lines, endpoint) {
  const content = lines.map((each) => JSON.stringify(each) + "\n").join("");
  const file = await client.files.create({
    file: await toFile(Buffer.from(content), "input.jsonl"),
    purpose: "batch",
  });
  const window = { input_file_id: file.id, completion_window: "24h" };
  let batch = await client.batches.create({ ...window, endpoint, metadata: { project: "acl" } });
  while (!["completed", "failed", "expired", "cancelled"].includes(batch.status)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    batch = await client.batches.retrieve(batch.id);
  }
  return batch;
}

async function lines(id) {
  if (!id) return [];
  const response = await client.files.content(id);
  return (await response.text()).trim().split("\n").map((each) => JSON.parse(each));
}

async function refused(call) {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    return { name: error.constructor.name, status: error.status, message: error.message };
  }
}

const line = (id, url, body) => ({ custom_id: id, method: "POST", url, body });
const say = (text) => ({ model: "echo", messages: [{ role: "user", content: text }] });
const [chat, embeddings] = ["/v1/chat/completions", "/v1/embeddings"];
const batches = [
  await ended([line("a", chat, say("one")), line("b", chat, say("two"))], chat),
  await ended([line("c", embeddings, { model: "wordllama", input: "three" })], embeddings),
  await ended([line("d", chat, { model: "echo", messages: "none" })], chat),
];
const listed = [];
for await (const batch of client.batches.list({ limit: 1 })) listed.push(batch.id);
const files = [];
for await (const file of client.files.list({ purpose: "batch", limit: 1 })) files.push(file.id);
console.log(
  JSON.stringify({
    batches,
    answers: await Promise.all(batches.map((batch) => lines(batch.output_file_id))),
    failures: await Promise.all(batches.map((batch) => lines(batch.error_file_id))),
    listed,
    files,
    deleted: await client.files.delete(batches[0].input_file_id),
    unknown: await refused(() => client.batches.retrieve("batch_unknown")),
    ended: await refused(() => client.batches.cancel(batches[0].id)),
    wrong: await refused(() =>
      client.batches.create({ input_file_id: "file-none", endpoint: chat, completion_window: "1h" }),
    ),
  }),
);
