import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { AppError } from '../../shared/errors/index.ts'
import type { RegistryContent } from '../appliance/index.ts'
import { sitePhase } from '../engine/phase.ts'
import {
  arrivedStatement,
  hasArrivedBefore,
  isLastUpload,
  measureContentFile,
  unreadFile,
  uploadVerified,
  type ContentFile,
} from './content-files.ts'
import { leaderOf, type Site, type SiteContext } from './site.ts'

interface Facts {
  readonly files: readonly ContentFile[]
  /** Files of which it is proven that the leader has them. */
  readonly present: ReadonlySet<string>
}

/** Uploads the pack bundles, one after the other, and sees each of them listed. */
export const uploadPacks = sitePhase<Site, Facts>({
  id: 'upload-packs',
  title: 'Upload the packs',
  expectedSeconds: 60,
  deadlineSeconds: 12 * 60 * 60,
  work: 'upload',
  gather: gatherPacks,
  assumeFresh: ({ services }) => ({
    files: services.plan.appliance.packs.map(unreadFile),
    present: new Set(),
  }),
  select: (_context, { files, present }) => {
    if (files.length === 0) {
      return { kind: 'already-done', statement: 'No packs are planned', seen: 'appliance.packs is empty' }
    }
    return files.every((file) => present.has(file.name))
      ? {
          kind: 'already-done',
          statement: 'All packs are listed',
          seen: files.map((file) => file.name).join(', '),
        }
      : { kind: 'needed' }
  },
  apply: async (context, { files, present }) => {
    const missing = files.filter((file) => !present.has(file.name))
    for (const [index, file] of missing.entries()) {
      const signature = context.mode === 'apply' ? await signatureBeside(file) : undefined
      await uploadVerified(context, file, signature, (fraction) => {
        context.progress(
          `Uploading ${file.name} (${index + 1} of ${missing.length})`,
          ((index + fraction) / missing.length) * 0.95,
        )
      })
      await waitUntilListed(context, file)
    }
  },
  verify: async (context) => {
    const { files, present } = await gatherPacks(context)
    const absent = files.filter((file) => !present.has(file.name))
    if (absent.length > 0) {
      throw new AppError({
        code: 'PACK_MISSING',
        title: 'A pack is not in the list of contents.',
        detail: absent.map((file) => file.name).join(', '),
        remedies: ['Go on with --resume: what is missing is uploaded again.'],
        isTransient: true,
      })
    }
    context.evidence(
      'All packs are listed',
      files.map((file) => `${file.name} SHA-256 ${file.sha256}`).join(', '),
    )
  },
})

/**
 * The detached signature of a pack as hexadecimal text, when it lies beside the pack as the vendor names it. Images with
 * a public key (generation D) take nothing without one (palette.md §7.3.2); those without a key refuse one.
 */
async function signatureBeside(file: ContentFile): Promise<string | undefined> {
  const path = `${file.path}.sig.bin`
  try {
    return (await readFile(path)).toString('hex')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new AppError({
      code: 'FILE_UNREADABLE',
      title: `The signature of ${file.name} cannot be read.`,
      detail: error instanceof Error ? error.message : String(error),
      remedies: [`Make ${path} readable, then go on with --resume.`],
      cause: error,
    })
  }
}

async function gatherPacks(context: SiteContext): Promise<Facts> {
  const { services, signal } = context
  const files: ContentFile[] = []
  for (const path of services.plan.appliance.packs) {
    const file = services.fileOfPlan(path)
    const handleReading = () => {
      context.progress(`Reading ${basename(file)} to know its hash`)
    }
    files.push(await measureContentFile(file, signal, handleReading))
  }
  if (files.length === 0) return { files, present: new Set() }
  const leader = await services.nodes.localApi(context, leaderOf(services.plan))
  const content = await leader.registryContent({ signal })
  const present = new Set<string>()
  for (const file of files) {
    // The list of contents has no hashes: a name alone does not prove that it is the same file.
    const isProven = hasArrivedBefore(context, file) || (await isLastUpload(leader, file, signal))
    if (isProven && isListed(content, file)) present.add(file.name)
  }
  return { files, present }
}

async function waitUntilListed(context: SiteContext, file: ContentFile): Promise<void> {
  const { services } = context
  await context.waitFor(
    {
      until: `${file.name} is in the list of contents`,
      everySeconds: 5,
      softSeconds: 20 * 60,
      deadlineSeconds: 90 * 60,
      remedies: ['Look at "Content" in the Local UI of the leader and filter by the name of the file.'],
    },
    async (signal) => {
      const leader = await services.nodes.localApi(context, leaderOf(services.plan))
      return isListed(await leader.registryContent({ signal }), file)
        ? { kind: 'ready', value: undefined }
        : { kind: 'waiting', detail: `${arrivedStatement(file)}; the appliance unpacks it` }
    },
  )
}

/** The list shows the name with or without the endings of the file. */
function isListed(content: RegistryContent, file: ContentFile): boolean {
  const stem = file.name.replace(/(\.tar)?\.zst$/, '')
  return content.status.some((item) => item.name === file.name || item.name === stem)
}
