// OpenAI's Node SDK: chat completions.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const Review = z.object({ zeal: z.enum(["low", "high"]), kind: z.literal("review"), age: z.literal(7) });

const client = ({ base_url, key }) => new OpenAI({ baseURL: base_url, apiKey: key, maxRetries: 0 });
const said = (prompt) => [{ role: "user", content: prompt }];

export async function chat({ model, prompt, ...at }) {
  const completion = await client(at).chat.completions.create({ model, messages: said(prompt) });
  return completion.choices[0].message.content;
}

export async function* stream({ model, prompt, ...at }) {
  const request = { model, messages: said(prompt), stream: true };
  for await (const chunk of await client(at).chat.completions.create(request)) {
    for (const choice of chunk.choices) yield choice.delta.content ?? "";
  }
}

export async function tools({ model, prompt, result, streamed, ...at }) {
  const called = [];
  const weather = zodFunction({
    name: "get_weather",
    parameters: z.object({ unit: z.string(), exact: z.boolean() }),
    function: (given) => {
      called.push(given);
      return result;
    },
  });
  const request = { model, messages: said(prompt), tools: [weather], stream: streamed };
  const text = await client(at).chat.completions.runTools(request).finalContent();
  return { called, text };
}

export async function structured({ model, prompt, ...at }) {
  const format = zodResponseFormat(Review, "review");
  const request = { model, messages: said(prompt), response_format: format };
  const completion = await client(at).chat.completions.parse(request);
  return completion.choices[0].message.parsed;
}

export async function* models(at) {
  for await (const model of client(at).models.list()) yield model.id;
}

export const whole = ({ request, ...at }) => client(at).chat.completions.create(request);

export async function* chunks({ request, ...at }) {
  yield* await client(at).chat.completions.create({ ...request, stream: true });
}

export const together = ({ request, ...at }) =>
  client(at).chat.completions.stream(request).finalChatCompletion();

export const image = ({ request, ...at }) => client(at).images.generate(request);
