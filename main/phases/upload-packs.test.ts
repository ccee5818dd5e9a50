import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RunEvent } from '../../shared/events/index.ts'
import { registryContentSchema, uploadedContentSchema } from '../appliance/local-api-schemas.ts'
import type { LocalApiClient } from '../appliance/index.ts'
import { RunHistory } from '../engine/history.ts'
import type { Selection } from '../engine/phase.ts'
import { planWith } from '../engine/testing/run-harness.ts'
import { measureContentFile, unreadFile, uploadVerified } from './content-files.ts'
import type { SiteContext } from './site.ts'
import { uploadPacks } from './upload-packs.ts'

const signal = new AbortController().signal
const bytes = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3])
const sha256 = createHash('sha256').update(bytes).digest('hex')

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-packs-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

interface Leader {
  /** Names in its list of contents. */
  listed?: string[]
  /** Its last upload. */
  last?: object
}

/** The part of a run's world that uploads see; `changes` gets what would be, or is, altered. */
function contextOf(packs: string[], leader: Leader, mode: 'apply' | 'dry-run' = 'apply') {
  const plan = planWith(1)
  const changes: string[] = []
  const proven: [statement: string, seen: string][] = []
  const uploads: object[] = []
  const client: Partial<LocalApiClient> = {
    registryContent: () =>
      Promise.resolve(
        registryContentSchema.parse({ status: (leader.listed ?? []).map((name) => ({ name })) }),
      ),
    uploadedContent: () =>
      Promise.resolve(leader.last === undefined ? undefined : uploadedContentSchema.parse(leader.last)),
    uploadContent: (upload) => {
      uploads.push(upload)
      return Promise.resolve({ message: undefined, uploadPath: undefined })
    },
  }
  const history = new RunHistory()
  const context = {
    services: {
      plan: { ...plan, appliance: { ...plan.appliance, packs } },
      fileOfPlan: (path: string) => join(folder, path),
      nodes: { localApi: () => Promise.resolve(client) },
    },
    phase: 'upload-packs',
    mode,
    signal,
    history,
    change: (_key: string, what: string, act: (signal: AbortSignal) => Promise<unknown>) => {
      changes.push(what)
      return mode === 'apply' ? act(signal) : Promise.resolve(undefined)
    },
    evidence: (statement: string, seen: string) => proven.push([statement, seen]),
    progress: () => undefined,
  } as unknown as SiteContext
  return { context, changes, proven, uploads, history }
}

async function selectionOf(packs: string[], leader: Leader, earlier: RunEvent[] = []): Promise<Selection> {
  const { context, history } = contextOf(packs, leader)
  for (const event of earlier) history.note(event)
  if (uploadPacks.scope !== 'site') throw new TypeError('packs are uploaded once for the site')
  const facts = await uploadPacks.gather(context)
  const selection = uploadPacks.select?.(context, facts)
  if (selection === undefined) throw new TypeError('what is there already is not uploaded again')
  return selection
}

const lastUpload = { fileName: 'aws-1.2.tar.zst', sizeInBytes: bytes.length, sha256Hash: sha256 }

describe('a pack is there already', () => {
  beforeEach(() => writeFile(join(folder, 'aws-1.2.tar.zst'), bytes))
  const pack = ['aws-1.2.tar.zst']

  it.each([
    ['with its full name', 'aws-1.2.tar.zst'],
    ['without its endings', 'aws-1.2'],
  ])('when it is listed %s and was the last upload', async (_how, name) => {
    expect(await selectionOf(pack, { listed: ['other', name], last: lastUpload })).toMatchObject({
      kind: 'already-done',
      seen: 'aws-1.2.tar.zst',
    })
  })

  it('when it is listed and this run saw this very file arrive', async () => {
    const arrived: RunEvent = {
      type: 'evidence',
      seq: 1,
      time: '2026-01-01T00:00:00.000Z',
      phase: 'upload-packs',
      statement: 'aws-1.2.tar.zst has arrived whole',
      seen: `${bytes.length} bytes, SHA-256 ${sha256}`,
    }
    const other = { ...arrived, seen: `${bytes.length} bytes, SHA-256 ${'0'.repeat(64)}` }
    expect((await selectionOf(pack, { listed: ['aws-1.2'] }, [arrived])).kind).toBe('already-done')
    expect((await selectionOf(pack, { listed: ['aws-1.2'] }, [other])).kind).toBe('needed')
  })

  it.each<[what: string, leader: Leader]>([
    ['it is not listed', { last: lastUpload }],
    ['only its name is listed', { listed: ['aws-1.2'] }],
    [
      'another file of its name was uploaded',
      { listed: ['aws-1.2'], last: { ...lastUpload, sha256Hash: 'ff' } },
    ],
    ['a longer one was uploaded', { listed: ['aws-1.2'], last: { ...lastUpload, sizeInBytes: 8 } }],
    ['something of a similar name is listed', { listed: ['aws-1.20', 'aws'], last: lastUpload }],
  ])('not when %s', async (_what, leader) => {
    expect((await selectionOf(pack, leader)).kind).toBe('needed')
  })

  it('only when all of the plan are', async () => {
    await writeFile(join(folder, 'b.zst'), bytes)
    const selection = await selectionOf([...pack, 'b.zst'], { listed: ['aws-1.2', 'b'], last: lastUpload })
    expect(selection.kind).toBe('needed')
    expect((await selectionOf([], {})).kind).toBe('already-done')
  })
})

describe('an upload', () => {
  const measured = async () => {
    const path = join(folder, 'aws-1.2.tar.zst')
    await writeFile(path, bytes)
    return measureContentFile(path, signal)
  }
  const ignoreFraction = () => undefined

  it('names the file and its size, sends it, and is proven by the hash that the leader read', async () => {
    const file = await measured()
    const { context, changes, proven, uploads } = contextOf([], {
      last: { ...lastUpload, sha256Hash: sha256.toUpperCase() },
    })
    await uploadVerified(context, file, undefined, ignoreFraction)
    expect(changes).toEqual(['upload aws-1.2.tar.zst (1 kB) to the leader'])
    expect(uploads).toMatchObject([{ fileName: 'aws-1.2.tar.zst', size: bytes.length, sha256 }])
    expect(uploads[0]).not.toHaveProperty('signature')
    expect(proven).toEqual([['aws-1.2.tar.zst has arrived whole', `7 bytes, SHA-256 ${sha256}`]])
  })

  it('sends the signature along when there is one', async () => {
    const { context, uploads } = contextOf([], { last: lastUpload })
    await uploadVerified(context, await measured(), 'c0ffee', ignoreFraction)
    expect(uploads).toMatchObject([{ signature: 'c0ffee' }])
  })

  it.each([
    ['nothing', undefined],
    ['another file', { ...lastUpload, fileName: 'other.zst' }],
    ['a part of it', { ...lastUpload, sizeInBytes: 3 }],
    ['other bytes', { ...lastUpload, sha256Hash: '0'.repeat(64) }],
  ])('is damaged, to be sent again, and proves nothing when the leader has %s', async (_what, last) => {
    const { context, proven } = contextOf([], last === undefined ? {} : { last })
    await expect(uploadVerified(context, await measured(), undefined, ignoreFraction)).rejects.toMatchObject({
      code: 'UPLOAD_DAMAGED',
      isTransient: true,
      node: 'n1',
    })
    expect(proven).toEqual([])
  })

  it('is only listed in a dry run: by name where the file was not read, and without a proof', async () => {
    const { context, changes, proven, uploads } = contextOf([], {}, 'dry-run')
    await uploadVerified(context, unreadFile('./packs/aws-1.2.tar.zst'), undefined, ignoreFraction)
    await uploadVerified(context, { ...(await measured()), size: 42_500_000_000 }, undefined, ignoreFraction)
    expect(changes).toEqual([
      'upload aws-1.2.tar.zst to the leader',
      'upload aws-1.2.tar.zst (42.5 GB) to the leader',
    ])
    expect([...uploads, ...proven]).toEqual([])
  })
})
