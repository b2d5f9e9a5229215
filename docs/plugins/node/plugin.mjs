// A provider in Node that says your words from the last to the first: node plugin.mjs HOST:PORT ../../../gen/descriptor.binpb
import { readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { Server, ServerCredentials, loadPackageDefinition, status } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";

const [address, descriptor] = process.argv.slice(2);
const contract = loadFileDescriptorSetFromBuffer(readFileSync(descriptor), { keepCase: true });
const { Chat } = loadPackageDefinition(contract).interference.v1;
const MODEL = "backwards";
const TAKEN = ["model", "messages", "stream_options"];
const words = (text) => text.match(/\s*\S+/g) ?? [];
const fault = (code, details) => Object.assign(new Error(details), { code, details });

function backwards(request) {
  if (request.model !== MODEL) throw fault(status.NOT_FOUND, `There is no model but ${MODEL}.`);
  const other = Object.keys(request).find((name) => !TAKEN.includes(name));
  if (other) throw fault(status.INVALID_ARGUMENT, `${other} is not taken.`);
  const { messages = [] } = request;
  const texts = messages.map(({ content = [] }) => content.map((part) => part.text ?? "").join(""));
  const readable = ({ role, content = [] }) => role && content.every((part) => "text" in part);
  if (!messages.every(readable) || !texts.at(-1)?.trim())
    throw fault(status.INVALID_ARGUMENT, "messages must have roles and be of text, the last not empty.");
  const text = texts.at(-1).trim().split(/\s+/).reverse().join(" ");
  const [prompt_tokens, completion_tokens] = [texts.join(" "), text].map((one) => words(one).length);
  const usage = { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
  return { text, usage, head: { id: crypto.randomUUID(), created: Math.floor(Date.now() / 1000), model: MODEL } };
}

async function whole({ request }) {
  const { text, usage, head } = backwards(request);
  const choice = { index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" };
  return { ...head, object: "chat.completion", choices: [choice], usage };
}

async function stream(call) {
  const { text, usage, head } = backwards(call.request);
  const send = (more) => call.write({ ...head, object: "chat.completion.chunk", ...more });
  send({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] });
  for (const content of words(text)) {
    await setImmediate(); // others have their turn, and it is noticed when the caller goes
    if (call.cancelled) return; // the caller has gone, or the deadline has passed
    send({ choices: [{ index: 0, delta: { content } }] });
  }
  send({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
  if (call.request.stream_options?.include_usage) send({ usage });
  call.end();
}

const server = new Server();
server.addService(Chat.service, {
  createCompletion: (call, callback) => whole(call).then((answer) => callback(null, answer), callback),
  streamCompletion: (call) => stream(call).catch((error) => call.emit("error", error)),
});
process.on("SIGTERM", () => server.tryShutdown(() => process.exit()));
server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`Ready on port ${port}`);
});
