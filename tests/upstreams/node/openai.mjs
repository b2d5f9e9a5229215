// One call of OpenAI's SDK: node openai.mjs BASE_URL KEY TASK REQUEST_JSON. Prints the outcome as JSON.
import OpenAI from "openai";

const [baseURL, apiKey, task, json] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const request = JSON.parse(json);

const tasks = {
  models: async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return ids;
  },

  chat: () => client.chat.completions.create(request),

  stream: async () => {
    const stream = await client.chat.completions.create({ ...request, stream: true });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return chunks;
  },

  together: () => client.chat.completions.stream(request).finalChatCompletion(),

  image: () => client.images.generate(request),
};

function told(error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  const { status, type, code, param, message, headers } = error;
  const retryAfter = headers.get("retry-after");
  return { class: error.constructor.name, status, type, code, param, message, retryAfter };
}

console.log(JSON.stringify(await tasks[task]().catch(told)));
