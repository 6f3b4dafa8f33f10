/** The second process of the database suite: opens a database with another module's `open` and does as it is told. */
import type { Database } from '../../lib/db/driver';
import type { RawImage } from '../../lib/manifest';

export type ChildRequest = { put: RawImage[] } | { get: string };
export type ChildReply = { ready: true } | { etags: string[] } | { name: string | undefined };

interface Opener {
    open: (place: string) => Promise<Database>;
}

function reply(message: ChildReply): void {
    process.send?.(message);
}

async function answer(database: Database, request: ChildRequest): Promise<ChildReply> {
    if ('put' in request) {
        const etags: string[] = [];
        for (const raw of request.put) {
            const [written] = await database.images.commit({ put: [{ raw }] });
            etags.push(written?.etag ?? '');
        }
        return { etags };
    }
    const found = await database.images.get(request.get);
    return { name: found?.raw.name };
}

async function main([module = '', place = '']: readonly string[]): Promise<void> {
    const { open } = (await import(module)) as Opener;
    const database = await open(place);
    process.on('message', (request: ChildRequest) => {
        void answer(database, request).then(reply);
    });
    process.on('disconnect', () => {
        void database.close().then(() => process.exit());
    });
    reply({ ready: true });
}

void main(process.argv.slice(2));
