import { createSshRunner } from '../../network/programs/ssh-runner.ts'
import type { ProgramRunner } from '../../network/programs/program-runner.ts'
import { connectSsh, readHostKey } from '../../ssh/index.ts'
import type { TestLab } from './site.ts'

/** Runs programs on a node of the lab as the product does. Its connection ends with the lab. */
export async function runnerOf(test: TestLab, node: string): Promise<ProgramRunner> {
  const host = test.lab.snapshot().nodes.find((one) => one.name === node)?.nic.address ?? ''
  const { dialler } = test.lab
  const endpoint = { host, port: 22 }
  const connection = await connectSsh({
    endpoint,
    username: 'kairos',
    auth: { password: 'kairos' },
    dialler,
    hostKey: { pinned: await readHostKey(endpoint, { dialler }) },
  })
  return createSshRunner({ place: node, connection, password: () => Promise.resolve('kairos') })
}

/** Lets simulated time pass while something runs, and only then; tells how much passed. */
export async function timed<Result>(
  test: TestLab,
  work: Promise<Result>,
): Promise<[Result, milliseconds: number]> {
  const start = test.clock.now()
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  work.then(settle, settle)
  for (let turns = 0; ; turns += 1) {
    // Real time: the answers travel over sockets.
    await new Promise((resolve) => setTimeout(resolve, 15))
    if (isSettled) return [await work, test.clock.now() - start]
    if (turns >= 2) await test.clock.advance(500)
  }
}
