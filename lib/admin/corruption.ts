/** What is told of an image whose file is damaged (ops.md §5). */
import type { ImageStore } from '../db/driver';
import { storedPages } from '../images/lists';
import type { RawImage } from '../manifest';

type Described = Pick<RawImage, 'uuid' | 'name' | 'version'>;

/** Where an operator can read on. */
const SEE = 'docs/operator-guide.md, "Files that are damaged"';

const named = ({ uuid, name, version }: Described): string => `${uuid} (${name} ${version})`;

/** The images that are made from it, and those made from them, by generation. */
export async function descendants(images: ImageStore, uuid: string): Promise<Described[][]> {
    const known = new Set([uuid]);
    const generations: Described[][] = [];
    let parents = [uuid];
    while (parents.length > 0) {
        const children: Described[] = [];
        for (const origin of parents) {
            for await (const page of storedPages(images, { anyOf: [{ origin }], order: 'asc' })) {
                children.push(...page.map(({ raw }) => raw).filter((raw) => !known.has(raw.uuid)));
            }
        }
        children.forEach((child) => known.add(child.uuid));
        if (children.length > 0) {
            generations.push(children.map(({ uuid: id, name, version }) => ({ uuid: id, name, version })));
        }
        parents = children.map((child) => child.uuid);
    }
    return generations;
}

/** The lines about an image: what is wrong, how to get rid of it, and what that takes along. */
export function corruptionReport(
    image: Described,
    reason: string,
    generations: readonly (readonly Described[])[],
): string[] {
    const fixes = [...[...generations].reverse().flat(), image];
    return [
        `Image:  ${named(image)}`,
        'State:  image file corruption',
        `Reason: ${reason}`,
        `See:    ${SEE}`,
        ...fixes.map(({ uuid }) => `Fix:    sdc-imgadm delete ${uuid}`),
        ...(generations.at(-1) ?? []).map(
            (descendant) =>
                `Impact: image ${named(descendant)} needs it, and has to be imported or made again`,
        ),
        '',
    ];
}
