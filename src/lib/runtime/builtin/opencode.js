// A plugin for opencode: it tells iapeer of the session's turns, and writes what iapeer reads of a conversation (opencode
// keeps it in a database) as JSON lines: who was asked what, how turns ended, and what they took.
//
// It is called for everything that happens; only the conversations of the terminal count, not those of sub-agents.
import { spawn } from "node:child_process"
import { appendFileSync, existsSync, mkdirSync, realpathSync } from "node:fs"
import { join } from "node:path"

export const Iapeer = async ({ directory, client }) => {
  const cwd = realpathSync(directory)
  const data = process.env.XDG_DATA_HOME || join(process.env.HOME, ".local/share")
  const folder = join(data, "opencode/iapeer", cwd.replace(/[^A-Za-z0-9]/gu, "-"))
  const asked = new Map() // user messages that no turn took yet, by id: their text
  const answers = new Set() // messages that a turn has begun to answer, or whose end is written
  const children = new Map() // conversations: whether another one opened it
  const failed = new Map() // conversations whose last turn failed: how
  const file = (session) => join(folder, session + ".jsonl")

  const write = (session, record) => {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const timestamp = new Date().toISOString()
    const first = existsSync(file(session)) ? "" : JSON.stringify({ type: "session", id: session, cwd, timestamp }) + "\n"
    appendFileSync(file(session), first + JSON.stringify({ ...record, timestamp }) + "\n", { mode: 0o600 })
  }

  // One after the other, as they happened.
  let before = Promise.resolve()
  const tell = (event, session, more) => {
    const told = JSON.stringify({ session_id: session, transcript_path: file(session), cwd, ...more })
    before = before.then(
      () =>
        new Promise((done) => {
          const hook = spawn(TURN, [event], { stdio: ["pipe", "ignore", "ignore"] })
          hook.on("error", done).on("close", done)
          hook.stdin.on("error", () => {}).end(told)
        }),
    )
  }

  const isChild = async (session) => {
    if (!children.has(session)) {
      const found = await client.session.get({ path: { id: session } }).catch(() => undefined)
      children.set(session, Boolean(found?.data?.parentID))
    }
    return children.get(session)
  }

  const fails = (session, error) => {
    if (error.name === "MessageAbortedError") return write(session, { type: "interrupted" })
    const { message, statusCode } = error.data ?? {}
    const text = message || error.name
    const login = statusCode === 401 || error.name === "ProviderAuthError"
    const kind = login ? "authentication_failed" : statusCode === 429 ? "rate_limit" : error.name
    failed.set(session, { error: kind, last_assistant_message: text })
    write(session, { type: "error", error: error.name, status: statusCode, text })
  }

  const happened = {
    "session.created": ({ info }) => children.set(info.id, Boolean(info.parentID)),
    "message.updated": async ({ info }) => {
      const session = info.sessionID
      if (info.role !== "assistant") return
      const text = asked.get(info.parentID)
      asked.delete(info.parentID)
      if (await isChild(session)) return
      if (text !== undefined) {
        failed.delete(session)
        write(session, { type: "user", text, model: info.modelID })
        tell("prompt", session, { prompt: text })
      }
      if (!info.time.completed || answers.has(info.id)) return
      answers.add(info.id)
      if (info.error) return fails(session, info.error)
      const { input, output, cache } = info.tokens
      const used = { input, output, cached: cache.read, written: cache.write }
      write(session, { type: "assistant", id: info.id, model: info.modelID, tokens: used })
    },
    "session.status": async ({ sessionID, status }) => {
      if (status.type !== "retry" || (await isChild(sessionID))) return
      write(sessionID, { type: "retry", text: status.message, attempt: status.attempt })
    },
    "session.idle": async ({ sessionID }) => {
      if (await isChild(sessionID)) return
      write(sessionID, { type: "turn_end" })
      tell(failed.has(sessionID) ? "failed" : "stop", sessionID, failed.get(sessionID))
    },
    "session.compacted": async ({ sessionID }) => {
      if (!(await isChild(sessionID))) write(sessionID, { type: "compacted" })
    },
  }

  let order = Promise.resolve()
  return {
    "chat.message": async (_, { message, parts }) => {
      const text = parts.filter((part) => part.type === "text").map((part) => part.text)
      asked.set(message.id, text.join("\n"))
    },
    event: async ({ event }) => {
      const act = happened[event.type]
      if (act) order = order.then(() => act(event.properties)).catch(() => {})
      await order
    },
  }
}
