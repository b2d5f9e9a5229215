// Anthropic's Node SDK: messages.
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

const Review = z.object({ zeal: z.enum(["low", "high"]), kind: z.literal("review"), age: z.literal(7) });
const weather = {
  name: "get_weather",
  input_schema: {
    type: "object",
    properties: { unit: { type: "string" }, exact: { type: "boolean" } },
    required: ["unit", "exact"],
  },
};

const client = ({ base_url, key }) => new Anthropic({ baseURL: base_url, apiKey: key, maxRetries: 0 });
const asked = (model, prompt) => ({
  model,
  max_tokens: 100,
  messages: [{ role: "user", content: prompt }],
});
const text = ({ content }) => content.map((block) => (block.type === "text" ? block.text : "")).join("");

export async function chat({ model, prompt, ...at }) {
  return text(await client(at).messages.create(asked(model, prompt)));
}

export async function* stream({ model, prompt, ...at }) {
  for await (const event of client(at).messages.stream(asked(model, prompt))) {
    if (event.type === "content_block_delta") yield event.delta.text;
  }
}

export async function tools({ model, prompt, result, streamed, ...at }) {
  const { messages } = client(at);
  const request = { ...asked(model, prompt), tools: [weather] };
  const called = [];
  for (;;) {
    const message = streamed
      ? await messages.stream(request).finalMessage()
      : await messages.create(request);
    if (message.stop_reason !== "tool_use") return { called, text: text(message) };
    const uses = message.content.filter((block) => block.type === "tool_use");
    called.push(...uses.map((use) => use.input));
    const content = uses.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: result }));
    request.messages.push({ role: "assistant", content: message.content }, { role: "user", content });
  }
}

export async function structured({ model, prompt, ...at }) {
  const request = { ...asked(model, prompt), output_config: { format: zodOutputFormat(Review) } };
  return (await client(at).messages.parse(request)).parsed_output;
}

export const whole = ({ request, ...at }) => client(at).messages.create(request);

export async function* events({ request, ...at }) {
  yield* await client(at).messages.create({ ...request, stream: true });
}

export const together = ({ request, ...at }) => client(at).messages.stream(request).finalMessage();
