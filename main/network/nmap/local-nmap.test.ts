import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { createLocalRunner } from '../programs/local-runner.ts'
import { localNmap } from './local-nmap.ts'
import { nmapThrough, type NmapProgram, type NmapRunOptions } from './nmap-program.ts'
import { complain, fakeNmap, hang, notePid, say } from './testing/fake-nmap.ts'
import { recorded } from './testing/nmap-xml.ts'

const bounds = (more: Partial<NmapRunOptions> = {}): NmapRunOptions => ({
  signal: new AbortController().signal,
  deadlineSeconds: 20,
  ...more,
})

/** Both ways to run an nmap that is really a script of the test. */
const implementations: [string, (script: string) => { nmap: NmapProgram; folder: string }][] = [
  [
    'through node-nmap',
    (script) => {
      const { file, folder } = fakeNmap(script)
      return { nmap: localNmap({ location: file }), folder }
    },
  ],
  [
    'through a runner of programs',
    (script) => {
      const { folder } = fakeNmap(script)
      const environment = { ...process.env, PATH: folder }
      return { nmap: nmapThrough(createLocalRunner({ environment })), folder }
    },
  ],
]

const isRunning = (pid: number) => {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z')
  } catch {
    return false
  }
}
const pidOf = (folder: string) =>
  vi.waitFor(
    () => {
      const file = join(folder, 'pid')
      const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
      expect(pid).toBeGreaterThan(0)
      return pid
    },
    { timeout: 15_000, interval: 10 },
  )

describe.runIf(process.platform !== 'win32').each(implementations)('nmap %s', (_name, create) => {
  it('hands out its XML byte for byte, with its exit code', async () => {
    const xml = recorded('arp-as-root.xml')
    const { nmap } = create(say(xml))
    await expect(nmap.run(['-sn'], bounds())).resolves.toEqual({
      kind: 'ended',
      exitCode: 0,
      stdout: xml,
      stderr: '',
    })
  })

  it('gets the option for XML first, then the arguments as they are', async () => {
    const { nmap } = create(`process.stdout.write(JSON.stringify(process.argv.slice(2)))`)
    const result = await nmap.run(['-e', '$(id)', '10.0.0.1-3,5', ''], bounds())
    const args = JSON.parse(result.kind === 'ended' ? result.stdout : '') as string[]
    expect(args.filter((arg) => arg !== '--noninteractive')).toEqual([
      '-oX',
      '-',
      '-e',
      '$(id)',
      '10.0.0.1-3,5',
      '',
    ])
  })

  it('keeps progress, of which XML has the word percent, and characters that arrive in two pieces', async () => {
    const { nmap } = create(`
      const bytes = Buffer.from('<taskprogress percent="12"/>ü');
      process.stdout.write(bytes.subarray(0, -1), () => setImmediate(() => process.stdout.write(bytes.subarray(-1))))`)
    await expect(nmap.run([], bounds())).resolves.toMatchObject({ stdout: '<taskprogress percent="12"/>ü' })
  })

  it('may write on standard error and succeed', async () => {
    const { nmap } = create(complain('RTTVAR has grown to over 2.3 seconds\n') + say('<nmaprun/>'))
    await expect(nmap.run([], bounds())).resolves.toEqual({
      kind: 'ended',
      exitCode: 0,
      stdout: '<nmaprun/>',
      stderr: 'RTTVAR has grown to over 2.3 seconds\n',
    })
  })

  it('may write rubbish: that is for the reader to find out', async () => {
    const { nmap } = create(say('<nmaprun><host></nmaprun> & \0'))
    await expect(nmap.run([], bounds())).resolves.toMatchObject({ kind: 'ended', exitCode: 0 })
  })

  it.each([
    ['by itself', 'process.exit(255)', 255],
    ['by a signal', `process.kill(process.pid, 'SIGKILL')`, null],
  ])('may die at once %s', async (_how, script, exitCode) => {
    const { nmap } = create(script)
    const result = await nmap.run(['10.0.0.1'], bounds())
    expect(result).toMatchObject({ kind: 'ended', stdout: '' })
    // `timeout` in front of it may turn the signal into 128 and its number.
    expect([exitCode, 137]).toContain(result.kind === 'ended' ? result.exitCode : undefined)
    expect(result).not.toHaveProperty('exitCode', 0)
  })

  it('is killed at its deadline', async () => {
    const { nmap, folder } = create(notePid + complain('waiting') + hang)
    await expect(nmap.run([], bounds({ deadlineSeconds: 3 }))).resolves.toEqual({
      kind: 'killed',
      reason: 'deadline',
      stdout: '',
      stderr: 'waiting',
    })
    const pid = await pidOf(folder)
    await vi.waitFor(() => {
      expect(isRunning(pid)).toBe(false)
    })
  })

  it('is killed when it floods its output', async () => {
    const { nmap, folder } = create(
      notePid + `setInterval(() => process.stdout.write('<x>'.repeat(99999)), 0)`,
    )
    const result = await nmap.run([], bounds())
    expect(result).toMatchObject({ kind: 'killed', reason: 'output' })
    const pid = await pidOf(folder)
    await vi.waitFor(() => {
      expect(isRunning(pid)).toBe(false)
    })
  })

  it('is gone after an abort, which rejects with its reason', async () => {
    const { nmap, folder } = create(notePid + hang)
    const stop = new AbortController()
    const reason = new Error('stopped by the operator')
    const running = nmap.run([], bounds({ signal: stop.signal }))
    const pid = await pidOf(folder)
    expect(isRunning(pid)).toBe(true)
    stop.abort(reason)
    await expect(running).rejects.toBe(reason)
    await vi.waitFor(() => {
      expect(isRunning(pid)).toBe(false)
    })
  })

  it('is not started when the signal is aborted already', async () => {
    const { nmap, folder } = create(notePid)
    const reason = new Error('stopped')
    await expect(nmap.run([], bounds({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason)
    expect(existsSync(join(folder, 'pid'))).toBe(false)
  })
})

describe.runIf(process.platform !== 'win32')('nmap through node-nmap', () => {
  const ended = ['SIGINT', 'uncaughtException', 'exit'] as const
  const listenersNow = () => ended.map((event) => process.listeners(event as 'exit').length)

  it('leaves no listener of node-nmap at the process: not while it runs, not after any end', async () => {
    const before = listenersNow()
    const stop = new AbortController()
    const scripts = [say('x'), complain('x'), 'process.exit(1)', hang]
    const running = scripts.map((script) => {
      const nmap = localNmap({ location: fakeNmap(script).file })
      return nmap.run([], bounds({ signal: stop.signal })).catch(() => undefined)
    })
    const [interrupt, uncaught] = listenersNow()
    expect([interrupt, uncaught]).toEqual(before.slice(0, 2))
    // Landfall's own, which kills what still runs.
    expect(listenersNow()[2]).toBe((before[2] ?? 0) + 1)
    await Promise.all(running.slice(0, 3))
    stop.abort()
    await Promise.all(running)
    expect(listenersNow()).toEqual(before)
  })

  it('is missing when there is none: nothing is thrown, nothing crashes', async () => {
    // Without `timeout` in front of it the operating system tells it itself.
    const { folder } = fakeNmap('')
    const result = await localNmap({ location: join(folder, 'none') }).run([], bounds())
    expect(result.kind === 'missing' || (result.kind === 'ended' && result.exitCode === 127)).toBe(true)
  })

  it('uses the place of its own nmap, whatever another user of the package did before', async () => {
    const nodeNmap = createRequire(import.meta.url)('node-nmap') as { nmapLocation: string }
    nodeNmap.nmapLocation = '/landfall/no/such/program'
    const { file } = fakeNmap(say('mine'))
    await expect(localNmap({ location: file }).run([], bounds())).resolves.toMatchObject({ stdout: 'mine' })
  })

  it('tells an argument that no program can get', async () => {
    const before = listenersNow()
    const { file } = fakeNmap('')
    await expect(localNmap({ location: file }).run(['a\0b'], bounds())).resolves.toMatchObject({
      kind: 'not-permitted',
    })
    expect(listenersNow()).toEqual(before)
  })

  it('does not get root from anywhere', async () => {
    vi.spyOn(process, 'getuid').mockReturnValue(1000)
    const { file } = fakeNmap(say('started'))
    await expect(localNmap({ location: file }).run([], bounds({ asRoot: true }))).resolves.toEqual({
      kind: 'not-permitted',
      reason: 'Landfall does not run as root',
    })
    await expect(localNmap({ location: file }).run([], bounds())).resolves.toMatchObject({ kind: 'ended' })
  })

  const inLandfall = (body: string) => {
    const { folder } = fakeNmap('')
    const file = join(folder, 'landfall.mjs')
    writeFileSync(
      file,
      `import { localNmap } from ${JSON.stringify(new URL('local-nmap.ts', import.meta.url).href)}
       const bounds = { signal: new AbortController().signal, deadlineSeconds: 60 }
       ${body}`,
    )
    return file
  }

  it('ends when Landfall ends', async () => {
    const { file, folder } = fakeNmap(notePid + hang)
    const program = inLandfall(`
      import { existsSync, readFileSync } from 'node:fs'
      void localNmap({ location: ${JSON.stringify(file)} }).run([], bounds)
      const file = ${JSON.stringify(join(folder, 'pid'))}
      // It is there before the number is in it.
      setInterval(() => { if (existsSync(file) && readFileSync(file, 'utf8') !== '') process.exit(7) }, 5)`)
    expect(spawnSync(process.execPath, [program]).status).toBe(7)
    const pid = await pidOf(folder)
    await vi.waitFor(() => {
      expect(isRunning(pid)).toBe(false)
    })
  })

  it('is told when there are no file descriptors left, and nothing crashes', () => {
    const { file } = fakeNmap('')
    const program = inLandfall(`
      import { closeSync, openSync } from 'node:fs'
      const open = []
      try { for (;;) open.push(openSync('/dev/null')) } catch {}
      const result = await localNmap({ location: ${JSON.stringify(file)} }).run([], bounds)
      for (const descriptor of open) closeSync(descriptor)
      console.log(JSON.stringify(result), process.listenerCount('uncaughtException'))`)
    const { stdout, stderr } = spawnSync(
      'sh',
      ['-c', 'ulimit -n 90; exec "$0" "$1"', process.execPath, program],
      {
        encoding: 'utf8',
      },
    )
    expect(stderr).toBe('')
    expect(stdout).toContain('"kind":"not-permitted"')
    expect(stdout).toContain('EMFILE')
    expect(stdout).toContain(' 0\n')
  })
})
