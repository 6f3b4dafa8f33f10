/** The operations that are killed at every step, each on a registry of its own with the images it needs. */
import { randomBytes } from 'node:crypto';
import type { FaultPoint } from '../../lib/fault';
import { at, ICON, MANIFEST, OTHER, sha1, type Answer, type Client } from '../support/api';
import { DATACENTER } from '../support/registry';

/** Several writes' worth, so that an upload is no single one. */
const FILE = randomBytes(700_000);
const OTHER_FILE = randomBytes(300_000);
const OTHER_ICON = Buffer.concat([ICON, Buffer.from('another')]);
const NEW_UUID = '5bd3ed6b-2f3a-4a60-9c45-8f5d1f6e0a11';

export interface Operation {
    name: string;
    /** Further configuration of the server that is killed; the images are prepared on one without it. */
    config?: Record<string, unknown>;
    /** It makes images under uuids of the server's choice: others whenever it is done. */
    makesImages?: true;
    /** Makes the images it works on; gives the uuid of the one it is about. */
    prepare(client: Client): Promise<string>;
    run(client: Client, uuid: string): Promise<Answer>;
    /** Its status when it is done the first time. */
    status: number;
    /** Its status when it is done once more, e.g. by a client that never got the answer. */
    repeated: number;
    /** The step after which it counts as done; one that never changes anything has none. */
    committed?: FaultPoint;
}

async function withFile(client: Client): Promise<string> {
    const { uuid } = await client.create({ name: 'subject' });
    await client.upload(uuid, FILE);
    return uuid;
}

/** An image that can be cloned only together with its origin. */
async function withOrigin(client: Client): Promise<string> {
    const origin = await client.createActive({ name: 'origin' }, OTHER_FILE);
    const { uuid } = await client.createActive({ name: 'subject', origin: origin.uuid, acl: [OTHER] }, FILE);
    await client.uploadIcon(uuid);
    return uuid;
}

async function withIcon(client: Client): Promise<string> {
    const uuid = await withFile(client);
    await client.uploadIcon(uuid);
    return uuid;
}

const putIcon = (client: Client, uuid: string, bytes: Buffer): Promise<Answer> =>
    client.put(at(uuid, '/icon'), bytes, { 'content-type': 'image/png' });

const upload = (
    client: Client,
    uuid: string,
    query = `compression=gzip&sha1=${sha1(OTHER_FILE)}`,
): Promise<Answer> => client.put(at(uuid, `/file?${query}`), OTHER_FILE);

export const operations: readonly Operation[] = [
    {
        name: 'create',
        prepare: withFile,
        makesImages: true,
        run: (client) => client.post('/images', { ...MANIFEST, name: 'created' }),
        status: 200,
        repeated: 200,
        committed: 'save:committed',
    },
    {
        name: 'upload',
        prepare: async (client) => (await client.create({ name: 'subject' })).uuid,
        run: upload,
        status: 200,
        repeated: 200,
        committed: 'save:committed',
    },
    {
        name: 'upload in the place of another file',
        prepare: withIcon,
        run: upload,
        status: 200,
        repeated: 200,
        committed: 'save:committed',
    },
    {
        name: 'upload that is refused',
        prepare: withFile,
        run: (client, uuid) => upload(client, uuid, `compression=gzip&sha1=${'0'.repeat(40)}`),
        status: 400,
        repeated: 400,
    },
    {
        name: 'icon upload',
        prepare: withFile,
        run: (client, uuid) => putIcon(client, uuid, ICON),
        status: 200,
        repeated: 200,
        committed: 'save:committed',
    },
    {
        name: 'icon upload in the place of another',
        prepare: withIcon,
        run: (client, uuid) => putIcon(client, uuid, OTHER_ICON),
        status: 200,
        repeated: 200,
        committed: 'save:committed',
    },
    {
        name: 'icon delete',
        prepare: withIcon,
        run: (client, uuid) => client.delete(at(uuid, '/icon')),
        status: 200,
        repeated: 404,
        committed: 'save:committed',
    },
    {
        name: 'activation',
        prepare: withFile,
        run: (client, uuid) => client.action(uuid, 'activate'),
        status: 200,
        repeated: 422,
        committed: 'save:committed',
    },
    {
        name: 'uuid change',
        prepare: withIcon,
        run: (client, uuid) => client.action(uuid, 'update', { uuid: NEW_UUID }),
        status: 200,
        repeated: 404,
        committed: 'move:committed',
    },
    {
        name: 'clone',
        config: DATACENTER,
        makesImages: true,
        prepare: withOrigin,
        run: (client, uuid) => client.post(at(uuid, `/clone?account=${OTHER}`)),
        status: 200,
        repeated: 200,
        committed: 'clone:committed',
    },
    {
        name: 'delete',
        prepare: withIcon,
        run: (client, uuid) => client.delete(at(uuid)),
        status: 204,
        repeated: 404,
        committed: 'delete:committed',
    },
];
