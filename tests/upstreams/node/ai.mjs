// The Vercel AI SDK with `@ai-sdk/openai-compatible`.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const Review = z.object({ zeal: z.enum(["low", "high"]), kind: z.literal("review"), age: z.literal(7) });

function asked({ base_url, key, model, prompt }) {
  const provider = createOpenAICompatible({
    name: "interference",
    baseURL: base_url,
    apiKey: key,
    supportsStructuredOutputs: true,
  });
  return { model: provider.chatModel(model), prompt, maxRetries: 0 };
}

async function* pieces(request) {
  // Errors come as parts of the stream; without `onError` they are printed too.
  for await (const part of streamText({ ...request, onError: () => {} }).fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") yield part.text;
  }
}

export const chat = async (given) => (await generateText(asked(given))).text;

export const stream = (given) => pieces(asked(given));

export async function tools({ result, streamed, ...given }) {
  const called = [];
  const get_weather = tool({
    description: "The weather",
    inputSchema: z.object({ unit: z.string(), exact: z.boolean() }),
    execute: (input) => {
      called.push(input);
      return result;
    },
  });
  const request = { ...asked(given), tools: { get_weather }, stopWhen: stepCountIs(5) };
  const text = await (streamed ? streamText(request) : await generateText(request)).text;
  return { called, text };
}

export const structured = async (given) =>
  (await generateText({ ...asked(given), output: Output.object({ schema: Review }) })).output;

export async function reasoning({ streamed, ...given }) {
  const request = asked(given);
  const result = streamed ? streamText(request) : await generateText(request);
  return { reasoning: await result.reasoningText, text: await result.text };
}

// What it has of the object at each piece that arrives.
export async function* partial(given) {
  const output = Output.object({ schema: Review });
  yield* streamText({ ...asked(given), output }).partialOutputStream;
}
