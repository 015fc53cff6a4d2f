// A process of graphile-worker or pg-boss that bench/queue measures. member.go there says what the commands are.
// Each system has the settings that its own documentation gives for speed.
import { createInterface } from 'node:readline'

const [, , name, url] = process.argv

const graphile = async () => {
  const { makeWorkerUtils, run, Logger } = await import('graphile-worker')
  const logger = new Logger(() => () => {})
  const utils = await makeWorkerUtils({ connectionString: url, logger })
  return {
    migrate: () => utils.migrate(),
    enqueue: payloads => utils.addJobs(payloads.map(payload => ({ identifier: 'task', payload }))),
    // https://worker.graphile.org/docs/performance
    work: async (handlers, handle) => {
      const runner = await run({
        preset: {
          worker: {
            connectionString: url,
            concurrentJobs: handlers,
            maxPoolSize: 25,
            localQueue: { size: 500 },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
            logger
          }
        },
        noHandleSignals: true,
        taskList: { task: handle }
      })
      return () => runner.stop()
    }
  }
}

const boss = async () => {
  const { default: PgBoss } = await import('pg-boss')
  const options = { connectionString: url, max: 16, schedule: false }
  const queue = 'task'
  const instance = new PgBoss(options)
  instance.on('error', console.error)
  await instance.start()
  return {
    migrate: () => instance.createQueue(queue),
    enqueue: payloads => instance.insert(payloads.map(data => ({ name: queue, data }))),
    // A worker takes a batch and waits for all of it: four workers have a quarter of the handlers each. One whose batch
    // was full looks again at once (notifyWorker), and else at the shortest interval that there is.
    work: async (handlers, handle) => {
      const workers = Math.min(4, handlers)
      const batchSize = Math.ceil(handlers / workers)
      for (let i = 0; i < workers; i++) {
        const id = await instance.work(queue, { batchSize, pollingIntervalSeconds: 0.5 }, async jobs => {
          await Promise.all(jobs.map(job => handle(job.data)))
          if (jobs.length === batchSize) instance.notifyWorker(id)
        })
      }
      return () => instance.stop({ graceful: true, wait: true, close: false })
    }
  }
}

const system = await { 'graphile-worker': graphile, 'pg-boss': boss }[name]()

const now = () => performance.timeOrigin + performance.now() // milliseconds, with fractions
const send = answer => process.stdout.write(JSON.stringify(answer) + '\n')
let done = 0
let saying = false
let pickups = []
let stop = () => {}

const say = () => {
  saying = false
  if (done > 0) send({ done })
}
const handle = async payload => {
  const pickup = now() - payload.at / 1000
  await new Promise(resolve => setTimeout(resolve, 1))
  done++
  pickups.push(pickup)
  if (!saying) {
    saying = true
    setTimeout(say, 5)
  }
}

const mark = () => {
  pickups.sort((a, b) => a - b)
  const at = percent => pickups[Math.min(Math.floor(pickups.length * percent / 100), pickups.length - 1)] ?? 0
  const { user, system } = process.cpuUsage()
  const answer = { p50: at(50), p95: at(95), p99: at(99), cpu: (user + system) / 1e6 }
  pickups = []
  return answer
}

const payloads = n => Array.from({ length: n }, (_, i) => ({
  at: Math.round(now() * 1000),
  to: `user${i}@example.com`,
  subject: 'Your invoice is ready',
  tags: ['billing', 'monthly']
}))

const commands = {
  migrate: () => system.migrate(),
  enqueue: n => system.enqueue(payloads(n)),
  work: async n => { stop = await system.work(n, handle) },
  mark,
  stop: async () => { await stop(); say() }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, n] = line.split(' ')
  try {
    const answer = await commands[command](Number(n))
    send(command === 'mark' ? answer : {})
  } catch (error) {
    send({ error: String(error) })
  }
}
process.exit(0)
