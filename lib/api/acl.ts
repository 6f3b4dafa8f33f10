/** Access lists (endpoints.md §3 ACL). */
import { invalidParameter } from '../errors';
import { isUuid } from '../manifest';
import type { Call } from './call';
import { mutate, sendImage } from './mutate';

/** The accounts of the request body. @throws ApiError InvalidParameter */
function accounts(call: Call): string[] {
    const { body } = call.state;
    if (!Array.isArray(body)) {
        throw invalidParameter('The request body must be a JSON array of account uuids.', 'acl');
    }
    for (const [index, item] of body.entries()) {
        if (!isUuid(item)) {
            throw invalidParameter(
                `Item ${index} of the request body is ${JSON.stringify(item)}; it must be an account uuid.`,
                'acl',
            );
        }
    }
    return body as string[];
}

async function changeAcl(call: Call, change: (acl: string[], listed: string[]) => string[]): Promise<void> {
    const listed = accounts(call);
    const { images } = call.services;
    const saved = await mutate(call, (current) =>
        images.save(current, { ...current.raw, acl: change(current.raw.acl ?? [], listed) }),
    );
    sendImage(call, saved);
}

export async function addImageAcl(call: Call): Promise<void> {
    return changeAcl(call, (acl, listed) => [...new Set([...acl, ...listed])]);
}

export async function removeImageAcl(call: Call): Promise<void> {
    return changeAcl(call, (acl, listed) => acl.filter((uuid) => !listed.includes(uuid)));
}
