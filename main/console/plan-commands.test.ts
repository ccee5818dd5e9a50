import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { planTemplate, readPlan } from '../../shared/plan/index.ts'
import { openVault } from '../secrets/vault.ts'

const program = join(import.meta.dirname, 'landfall.ts')
/** As the starter sets it: most of the time of a short command is reading the program. */
const compileCache = join(import.meta.dirname, '../../node_modules/.cache/landfall')
/** Of util-linux; gives a command a real pseudo-terminal. */
const scriptProgram = '/usr/bin/script'
const PASSPHRASE = 'five random words in a row'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-cli-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

interface Outcome {
  code: number | string | null | undefined
  stdout: string
  stderr: string
}

/** Runs the real command line in its own process, without a terminal. */
function landfall(
  args: string[],
  options: { env?: Record<string, string>; input?: string } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [program, ...args],
      { cwd: folder, env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: compileCache, ...options.env } },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : error.code, stdout, stderr })
      },
    )
    child.stdin?.end(options.input ?? '')
  })
}

const write = async (name: string, text: string | Uint8Array): Promise<string> => {
  await writeFile(join(folder, name), text)
  return name
}

describe('landfall plan init', () => {
  it('writes a plan that is in order, from the options', async () => {
    const args = ['--nodes', '10.1.2.3, 10.1.2.4,10.1.2.5', '--network', '10.1.2.0/24', '--vip', '10.1.2.9']
    expect(await landfall(['plan', 'init', 'site.yaml', ...args])).toMatchObject({ code: 0, stderr: '' })
    const result = readPlan(await readFile(join(folder, 'site.yaml'), 'utf8'), 'site.yaml')
    if (!result.ok) throw new Error(JSON.stringify(result.problems))
    expect(result.plan.nodes.map(({ address, leader }) => [address, leader])).toEqual([
      ['10.1.2.3', true],
      ['10.1.2.4', false],
      ['10.1.2.5', false],
    ])
    expect(result.plan.site).toMatchObject({ network: '10.1.2.0/24', vip: '10.1.2.9' })
  })

  it('never overwrites a file', async () => {
    await write('plan.yaml', 'mine')
    const outcome = await landfall(['plan', 'init'])
    expect(outcome).toMatchObject({ code: 2, stdout: '' })
    expect(outcome.stderr).toContain('plan.yaml exists already')
    expect(await readFile(join(folder, 'plan.yaml'), 'utf8')).toBe('mine')
  })

  it('writes nothing when the options do not make a plan', async () => {
    const outcome = await landfall(['plan', 'init', '--nodes', '10.10.200.11', '--vip', 'nonsense'])
    expect(outcome).toMatchObject({ code: 2, stdout: '' })
    expect(outcome.stderr).toContain('site.vip is not an IPv4 address')
    await expect(readFile(join(folder, 'plan.yaml'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('takes ranges of addresses, and says what is wrong with one', async () => {
    const outcome = await landfall(['plan', 'init', 'range.yaml', '--nodes', '10.10.200.21-22, 10.10.200.30'])
    expect(outcome.code).toBe(0)
    const { nodes } = parse(await readFile(join(folder, 'range.yaml'), 'utf8')) as {
      nodes: { address: string }[]
    }
    expect(nodes.map(({ address }) => address)).toEqual(['10.10.200.21', '10.10.200.22', '10.10.200.30'])
    const twice = await landfall(['plan', 'init', 'twice.yaml', '--nodes', '10.1.2.3,10.1.2.3'])
    expect(twice).toMatchObject({ code: 2, stdout: '' })
    expect(twice.stderr).toContain('10.1.2.3 is there twice.')
  })
})

describe('landfall plan lint', () => {
  it('names file, line, column, severity, code, problem and way out', async () => {
    await write('bad.yaml', planTemplate().replace('vip: 10.10.200.100', 'vip: 10.10.201.100'))
    const outcome = await landfall(['plan', 'lint', 'bad.yaml'])
    expect(outcome.code).toBe(2)
    expect(outcome.stdout).toContain(
      'bad.yaml:13:8 error vip.in-subnet The VIP 10.10.201.100 is outside of the node network 10.10.200.0/24. → Write an address',
    )
  })

  it('is content with warnings', async () => {
    await write('good.yaml', planTemplate())
    const outcome = await landfall(['plan', 'lint', 'good.yaml'])
    expect(outcome.code).toBe(0)
    expect(outcome.stdout).toContain('warning ntp.servers')
    expect(outcome.stdout).toContain('good.yaml: in order, 1 warning\n')
  })

  it('prints one JSON document for several files, of which one is bad', async () => {
    await write('good.yaml', planTemplate())
    await write('bad.yaml', 'version: 2\n')
    const outcome = await landfall(['plan', 'lint', '--json', 'good.yaml', 'bad.yaml'])
    expect(outcome).toMatchObject({ code: 2, stderr: '' })
    const report = JSON.parse(outcome.stdout) as {
      files: { file: string; ok: boolean; problems: object[] }[]
    }
    expect(report.files.map(({ file, ok }) => [file, ok])).toEqual([
      ['good.yaml', true],
      ['bad.yaml', false],
    ])
    expect(report.files[1]?.problems[0]).toMatchObject({ line: 1, column: 1, severity: 'error' })
  })

  it.each([
    ['missing.yaml', undefined, 'cannot be read'],
    ['huge.yaml', '#'.repeat(1024 * 1024 + 1), 'at most 1 MiB'],
    ['binary.yaml', new Uint8Array([0xff, 0xfe, 0x00]), 'not UTF-8'],
    ['.', undefined, 'not a file'],
  ])('says what is wrong with %s', async (name, content, message) => {
    if (content !== undefined) await write(name, content)
    const outcome = await landfall(['plan', 'lint', name])
    expect(outcome.code).toBe(2)
    expect(outcome.stdout).toContain(message)
  })

  it('does not repeat escape sequences of the file on the terminal', async () => {
    await write('hostile.yaml', '"\\u001b[2Jx": 1\n')
    const outcome = await landfall(['plan', 'lint', 'hostile.yaml'])
    expect(outcome.stdout).not.toContain('\u001b')
  })

  it('ends with 2 for arguments that it does not know', async () => {
    expect(await landfall(['plan', 'lint'])).toMatchObject({ code: 2 })
    expect(await landfall(['plan', 'lint', '--nonsense', 'x'])).toMatchObject({ code: 2 })
  })
})

describe('landfall plan show', () => {
  it('fills in the defaults of a variant and marks them', async () => {
    await write('site.yaml', planTemplate().replace(/ {2}podCidr.*\n {2}serviceCidr.*\n/, ''))
    const outcome = await landfall(['plan', 'show', 'site.yaml', '--variant', 'D'])
    expect(outcome.code).toBe(0)
    expect(outcome.stdout).toContain('podCidr: 100.64.0.0/18 # default, from variant or plan')
    expect(outcome.stdout).toContain('port: 30003 # default\n')
    expect(outcome.stdout).toContain('mongoReplicas: 3\n')
  })

  it('lists the defaults in JSON', async () => {
    await write('site.yaml', planTemplate())
    const outcome = await landfall(['plan', 'show', 'site.yaml', '--variant', 'A', '--json'])
    const shown = JSON.parse(outcome.stdout) as {
      variant: string
      defaults: { path: string; source: string }[]
    }
    expect(shown.variant).toBe('A')
    expect(shown.defaults).toContainEqual({ path: 'cluster.registry.port', source: 'plan-format' })
    expect(shown.defaults).toContainEqual({ path: 'cluster.registry.endpoint', source: 'variant' })
    expect(shown.defaults.map(({ path }) => path)).not.toContain('cluster.podCidr')
  })

  it('refuses a plan that is not in order', async () => {
    await write('bad.yaml', 'version: 2\n')
    expect(await landfall(['plan', 'show', 'bad.yaml'])).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('landfall vault', () => {
  const env = { LANDFALL_VAULT_PASSPHRASE: PASSPHRASE }

  /** Only what is made with the full work factor takes the seconds that it shall take. */
  const makeVault = async (secrets: Record<string, string>): Promise<void> => {
    const vault = await openTestVault()
    await vault.update((content) => {
      for (const [name, secret] of Object.entries(secrets)) content.set(name, secret)
    })
  }
  const openTestVault = () =>
    openVault({ file: join(folder, 'site.vault.age'), passphrase: PASSPHRASE, scryptWorkFactor: 4 })

  it('stores a secret from standard input, without the end of the line and without showing it', async () => {
    await write('site.yaml', planTemplate())
    const outcome = await landfall(['vault', 'set', 'pro', '--plan', 'site.yaml'], {
      env,
      input: 'C-hunter2-hunter2\n',
    })
    expect(outcome).toMatchObject({ code: 0, stdout: '' })
    expect(outcome.stderr).not.toContain('hunter2')
    expect(await (await openTestVault()).get('pro')).toBe('C-hunter2-hunter2')
  }, 60_000)

  it('lists names, and shows a secret only on a terminal or with --reveal', async () => {
    await makeVault({ pro: 'C-hunter2-hunter2', node: 'another one' })
    const which = ['--vault', 'site.vault.age']
    expect(await landfall(['vault', 'list', ...which], { env })).toMatchObject({
      code: 0,
      stdout: 'node\npro\n',
    })
    const hidden = await landfall(['vault', 'show', 'pro', ...which], { env })
    expect(hidden).toMatchObject({ code: 2, stdout: '' })
    expect(hidden.stderr).toContain('--reveal')
    const shown = await landfall(['vault', 'show', 'pro', '--reveal', ...which], { env })
    expect(shown).toMatchObject({ code: 0, stdout: 'C-hunter2-hunter2\n' })
  }, 60_000)

  it('removes a secret and keeps the others', async () => {
    await makeVault({ pro: 'C-hunter2-hunter2', node: 'another one' })
    expect(await landfall(['vault', 'remove', 'pro', '--vault', 'site.vault.age'], { env })).toMatchObject({
      code: 0,
    })
    expect(await (await openTestVault()).names()).toEqual(['node'])
  }, 60_000)

  it.each([
    ['no passphrase', ['list', '--vault', 'x.age'], 'There is no vault'],
    ['neither plan nor vault', ['list'], '--plan FILE'],
    ['a secret where the name belongs', ['set', 'pass word!', '--vault', 'x.age'], 'standard input'],
    ['an empty secret', ['set', 'pro', '--vault', 'x.age'], 'fewer than 4 characters'],
  ])('says what to do with %s', async (_name, args, message) => {
    const outcome = await landfall(['vault', ...args], { env })
    expect(outcome.code).toBe(2)
    expect(outcome.stderr).toContain(message)
  })

  it.skipIf(!existsSync(scriptProgram))(
    'asks on a terminal without showing the answers',
    async () => {
      await write('site.yaml', planTemplate())
      const child = spawn(
        scriptProgram,
        ['-qec', `"${process.execPath}" "${program}" vault set pro --plan site.yaml`, '/dev/null'],
        {
          cwd: folder,
          env: { PATH: process.env['PATH'], TERM: 'xterm' },
        },
      )
      const answers: [question: string, answer: string][] = [
        ['Passphrase for the new vault', PASSPHRASE],
        ['The same passphrase again', PASSPHRASE],
        ['Secret "pro"', 'typed-hunter2'],
      ]
      let screen = ''
      let seen = 0
      const code = await new Promise((resolve) => {
        child.stdout.on('data', (chunk: Buffer) => {
          screen += chunk.toString()
          const next = answers[0]
          if (next !== undefined && screen.slice(seen).includes(next[0])) {
            seen = screen.length
            answers.shift()
            child.stdin.write(`${next[1]}\r`)
          }
        })
        child.on('exit', resolve)
      })
      expect(code).toBe(0)
      expect(screen).not.toContain('hunter2')
      expect(screen).not.toContain(PASSPHRASE)
      expect(await (await openTestVault()).get('pro')).toBe('typed-hunter2')
    },
    60_000,
  )
})
