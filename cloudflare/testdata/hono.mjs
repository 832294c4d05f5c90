// What our Worker does with an event, in JavaScript with Hono: who sends, what
// it is, into the queue, 200. It does not mask, limit or validate.
import { Hono } from "hono";

const app = new Hono();
app.post("/events", async (c) => {
  if (c.req.header("x-interactly-secret") !== c.env.SERVERURL_SECRET) return c.json({ error: "unauthorized" }, 401);
  const { message } = await c.req.json();
  if (!message?.type || !message.call?.id) return c.json({ error: "bad request" }, 400);
  await c.env.EVENTS.send({ type: message.type, call: message.call.id, message });
  return c.json({});
});

export default app;
