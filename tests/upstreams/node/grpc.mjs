// One gRPC call: node grpc.mjs HOST:PORT INCLUDES TASK REQUEST_JSON. Prints the outcome as JSON.
import { promisify } from "node:util";
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [address, includes, task, json] = process.argv.slice(2);
const files = ["interference/v1/chat.proto", "interference/v1/providers.proto"];
const options = { includeDirs: includes.split(":"), keepCase: true, oneofs: true, arrays: true };
const { Chat, Providers } = loadPackageDefinition(loadSync(files, options)).interference.v1;
const [chat, providers] = [Chat, Providers].map(
  (Service) => new Service(address, credentials.createInsecure()),
);
const request = JSON.parse(json);

async function all(stream) {
  const messages = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

const tasks = {
  providers: () => all(providers.listProviders(request)),
  chat: () => promisify(chat.createCompletion.bind(chat))(request),
  stream: () => all(chat.streamCompletion(request)),
};

function told(error) {
  if (!("code" in error && "details" in error)) throw error;
  return { code: error.code, details: error.details };
}

console.log(JSON.stringify(await tasks[task]().catch(told)));
chat.close();
providers.close();
