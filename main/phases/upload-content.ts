import { basename } from 'node:path'
import { sitePhase } from '../engine/phase.ts'
import {
  hasArrivedBefore,
  isLastUpload,
  measureContentFile,
  unreadFile,
  uploadVerified,
  type ContentFile,
} from './content-files.ts'
import { leaderOf, type Site } from './site.ts'

interface Facts {
  readonly bundle: ContentFile | undefined
  readonly isThere: boolean
}

/** Variant D: the slim ISO needs its content bundle, on the leader, after the hosts are linked (palette.md §1.7). */
export const uploadContent = sitePhase<Site, Facts>({
  id: 'upload-content',
  title: 'Upload the content bundle',
  expectedSeconds: 60,
  deadlineSeconds: 6 * 60 * 60,
  work: 'upload',
  gather: async (context) => {
    const { services, signal } = context
    const { content } = services.plan.appliance
    if (content === null) return { bundle: undefined, isThere: true }
    const file = services.fileOfPlan(content.bundle)
    const bundle = await measureContentFile(file, signal, () => {
      context.progress(`Reading ${basename(file)} to know its hash`)
    })
    const leader = await services.nodes.localApi(context, leaderOf(services.plan))
    return {
      bundle,
      isThere: hasArrivedBefore(context, bundle) || (await isLastUpload(leader, bundle, signal)),
    }
  },
  assumeFresh: ({ services }) => {
    const { content } = services.plan.appliance
    if (content === null) return { bundle: undefined, isThere: true }
    return { bundle: unreadFile(content.bundle), isThere: false }
  },
  select: (_context, { bundle, isThere }) => {
    if (bundle === undefined) {
      return {
        kind: 'already-done',
        statement: 'No content bundle is needed',
        seen: 'appliance.content is null',
      }
    }
    return isThere
      ? { kind: 'already-done', statement: 'The content bundle is there', seen: `SHA-256 ${bundle.sha256}` }
      : { kind: 'needed' }
  },
  apply: async (context, { bundle }) => {
    if (bundle === undefined) return
    const { content } = context.services.plan.appliance
    const signatureFile = content?.signature ?? undefined
    // The form field takes the detached signature as hexadecimal text (palette.md §7.3.2).
    const signature =
      signatureFile === undefined
        ? undefined
        : (await context.services.readFile(signatureFile)).toString('hex')
    await uploadVerified(context, bundle, signature, (fraction) => {
      context.progress(`Uploading ${bundle.name}`, fraction)
    })
  },
})
