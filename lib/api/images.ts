/** Images: list, get, create, delete (endpoints.md §3). */
import { DependencyConflict } from '../db/driver';
import { ApiError, invalidParameter } from '../errors';
import { buildImage, prepareCreate } from '../images/create';
import { show } from '../images/json';
import { parseListQuery, type ListMarker } from '../images/list-query';
import type { ListBody } from '../images/lists';
import { assertOwnerExists } from '../images/owner';
import { noOrigin } from '../images/refusals';
import { assertInAllChannels, isHidden, listsAll } from './authorize';
import type { Call } from './call';
import { evaluateConditions, opaqueTag } from './conditional';
import { mutate, sendImage } from './mutate';
import { account, loadedImage } from './steps';

/** Dependent images that a refusal names. */
const NAMED_DEPENDENTS = 5;
/** From this many on, only the first few are named. */
const MANY_DEPENDENTS = 10;

/** The image with its date that a list is to begin at; undefined if the marker counts for nothing. */
async function findMarker(
    call: Call,
    marker: ListMarker,
): Promise<{ publishedAt: string; uuid?: string } | undefined> {
    if (!('uuid' in marker)) {
        return marker;
    }
    const image = await call.services.images.get(marker.uuid);
    if (!image || isHidden(call, image)) {
        throw new ApiError('ResourceNotFound', `The marker, image ${marker.uuid}, does not exist.`);
    }
    // An old record may have anything there.
    const publishedAt: unknown = image.raw.published_at;
    return typeof publishedAt === 'string' && !Number.isNaN(Date.parse(publishedAt))
        ? { publishedAt, uuid: marker.uuid }
        : undefined;
}

/**
 * How many images a list has at most if the request does not say, by database. Clients of a server on Moray take a page
 * of this many for one that has a next one.
 */
const DEFAULT_LIMIT = { local: undefined, moray: 1000 } as const;

async function findImages(call: Call, mark: string | undefined): Promise<ListBody | 'unchanged'> {
    const { images, config } = call.services;
    const { channel } = call.state;
    const request = parseListQuery(call.query.values, {
        limited: !listsAll(call),
        channel: channel === '*' ? undefined : channel,
    });
    if (request === 'none') {
        return { whole: Buffer.from('[]') };
    }
    const marker = request.marker && (await findMarker(call, request.marker));
    const { anyOf, order, limit = DEFAULT_LIMIT[config.databaseType] } = request;
    const form = { channels: call.version2, adminFields: call.state.adminFields === true };
    return images.lists.find({ anyOf, order, ...(marker && { marker }) }, form, limit, mark);
}

/**
 * Lists images. The weak ETag is that of the very bytes, or for a long list, whose bytes are not at hand, of all that
 * it depends on. Of the conditions only If-None-Match is judged (docs/decisions/0014-conditional-lists.md).
 */
export async function listImages(call: Call): Promise<void> {
    const { lists } = call.services.images;
    const name = `${call.search} ${call.version2} ${viewOf(call)} ${call.state.channel ?? ''}`;
    const ifNoneMatch = call.headers['if-none-match'];
    let list = lists.remembered(name);
    if (!list) {
        const longTag = ifNoneMatch === undefined ? undefined : lists.longTag(name);
        if (longTag !== undefined && ifNoneMatch?.includes(longTag)) {
            // The client has this list, so it was a good request: nothing has to be looked for.
            call.sendEmpty(304, { Etag: longTag });
            return;
        }
        list = await lists.remember(name, (mark) => findImages(call, mark));
    }
    const headers = list.etag === undefined ? undefined : { Etag: list.etag };
    if (ifNoneMatch !== undefined && isNotModified(call, ifNoneMatch, list.etag)) {
        call.sendEmpty(304, headers);
    } else if ('whole' in list) {
        call.sendJson(200, list.whole, headers);
    } else {
        await call.sendJsonStream(200, list.pieces, headers);
    }
}

/** All that a list depends on of the caller: the states it sees, and the channels whose images it may know of. */
function viewOf(call: Call): string {
    const own = call.state.principal?.channels;
    return `${listsAll(call)}${own ? ` ${[...own].join()}` : ''}`;
}

function isNotModified(call: Call, ifNoneMatch: string, etag: string | undefined): boolean {
    const validators = { etags: etag === undefined ? [] : [opaqueTag(etag)] };
    return evaluateConditions(call.method, { 'if-none-match': ifNoneMatch }, validators).notModified;
}

export function getImage(call: Call): void {
    const adminFields = call.state.adminFields === true;
    const image = loadedImage(call);
    const { body, etag } = image.render({ channels: call.version2, adminFields });
    const etags = adminFields ? [etag, ...image.etags(call.version2)] : [etag];
    if (evaluateConditions(call.method, call.headers, { etags }).notModified) {
        call.sendEmpty(304);
        return;
    }
    call.sendJson(200, body, { Etag: etag });
}

export async function createImage(call: Call): Promise<void> {
    const { images, clock } = call.services;
    const { manifest, owner, origin } = prepareCreate(call.state.body, { account: account(call) });
    await assertOwnerExists(call.services, owner);
    if (origin !== undefined && !(await images.has(origin))) {
        throw noOrigin(origin);
    }
    const { channel } = call.state;
    const raw = buildImage(manifest, {
        kind: 'create',
        uuid: clock.uuid(),
        ...(channel !== undefined && { channels: [channel] }),
    });
    try {
        sendImage(call, await images.create(raw));
    } catch (err) {
        // It was deleted between the look at it and the commit.
        throw err instanceof DependencyConflict ? noOrigin(err.uuid) : err;
    }
}

/** Takes an image away, or out of the channel if it is in others as well (endpoints.md §3 delete). */
export async function deleteImage(call: Call): Promise<void> {
    const { images } = call.services;
    const { channel } = call.state;
    const everywhere = call.query.boolean('force_all_channels') ?? false;
    await mutate(call, async (current) => {
        const others = (current.raw.channels ?? []).filter((name) => name !== channel);
        const staysElsewhere = channel !== undefined && others.length > 0 && !everywhere;
        if (!staysElsewhere) {
            assertInAllChannels(call, current.raw);
        }
        const { count, uuids } = await images.dependents(current.uuid, channel, MANY_DEPENDENTS);
        if (count > 0) {
            const named = count < MANY_DEPENDENTS ? uuids : uuids.slice(0, NAMED_DEPENDENTS);
            const more = count > named.length ? `, and ${count - named.length} more` : '';
            throw new ApiError(
                'ImageHasDependentImages',
                `Image ${current.uuid} is the origin of ${count} image(s): ${named.join(', ')}${more}.`,
            );
        }
        if (staysElsewhere) {
            return images.save(current, { ...current.raw, channels: others });
        }
        images.objects.assertDeletable(current.raw, { files: true, icon: true });
        await images.remove(current, channel);
        return current;
    });
    call.sendEmpty(204);
}

/** POST /images with an action that there is none of. */
export function unknownAction(call: Call): void {
    const given = call.query.one('action');
    if (given === undefined || given === '') {
        throw invalidParameter('Parameter "action" is missing.', 'action', 'MissingParameter');
    }
    throw invalidParameter(
        `Parameter "action" is ${show(given)}; this endpoint has no such action.`,
        'action',
    );
}
