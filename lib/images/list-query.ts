/** The parameters of ListImages, read into a query of the database (endpoints.md §3 ListImages). */
import type { ImageFilter, ImageQuery } from '../db/driver';
import { invalidParameter } from '../errors';
import { isUuid } from '../manifest';
import { hasNul, show, toBoolean } from './json';

/** Query parameters as decoded: a repeated one is an array. */
export type ListParams = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface ListContext {
    /** The caller may list active images only: not authenticated, outside of a datacenter. */
    readonly limited: boolean;
    /** Only images of this channel; undefined for all. */
    readonly channel?: string | undefined;
}

/** Where a list begins: at an image, whose date the caller looks up (none: the marker counts for nothing), or at a date. */
export type ListMarker = { uuid: string } | { publishedAt: string };

/** A query but for what the caller adds: the default limit, the marker's date, where to read on. */
export interface ListRequest extends Pick<ImageQuery, 'anyOf' | 'order'> {
    /** At least 1; undefined if none was asked for. */
    readonly limit: number | undefined;
    readonly marker: ListMarker | undefined;
}

/** What the `state` parameter asks of the stored fields. */
type StateFilter = Pick<ImageFilter, 'activated' | 'disabled' | 'state'>;

const ACTIVE: StateFilter = { activated: true, disabled: false };
const STATES: ReadonlyMap<string, StateFilter> = new Map([
    ['active', ACTIVE],
    ['disabled', { activated: true, disabled: true }],
    ['unactivated', { activated: false }],
    ['all', {}],
    ['creating', { state: 'creating' }],
    ['failed', { state: 'failed' }],
]);
/** The states that a limited caller may ask for; both then mean the active images. */
const LIMITED_STATES = new Set(['active', 'all']);

const TAG_PREFIX = 'tag.';
/** Tags, and billing tags, that one request may ask for: a database takes only so many conditions at once. */
const MOST_TAGS = 400;
const SORT_ATTRIBUTE = 'published_at';

/**
 * What ListImages is asked for; 'none' if no image can be meant, so that the answer is an empty list.
 *
 * The parameters are checked in the contract's order. Those that ListImages does not know are passed over.
 *
 * @throws ApiError InvalidParameter
 */
export function parseListQuery(params: ListParams, { limited, channel }: ListContext): ListRequest | 'none' {
    const limit = readLimit(params);
    const state = readState(params);
    const isPublic = readPublic(params);
    const order = readOrder(params);
    const marker = readMarker(params);
    const account = single(params, 'account');
    const filter: ImageFilter = {
        ...(isPublic !== undefined && { public: isPublic }),
        ...readFilter(params),
        ...(channel !== undefined && { channel }),
    };
    if (limited && !LIMITED_STATES.has(state)) {
        return 'none';
    }
    const stateFilter = limited ? ACTIVE : (STATES.get(state) ?? ACTIVE);
    const anyOf =
        account === undefined ? [{ ...filter, ...stateFilter }] : readableBy(account, filter, stateFilter);
    return anyOf.length === 0 ? 'none' : { anyOf, order, limit, marker };
}

/**
 * The images that match and that the account may see: its own, and of the others those that are activated and
 * public or shared with it. Unions that cannot match are left out.
 */
function readableBy(account: string, filter: ImageFilter, state: StateFilter): ImageFilter[] {
    const { owner } = filter;
    const own: ImageFilter = { ...filter, ...state, owner: account };
    if (owner === account) {
        return [own];
    }
    const unions = owner === undefined ? [own] : [];
    if (state.activated === false || state.disabled === true) {
        return unions;
    }
    // With an owner given, the states creating and failed are not asked of the images of others.
    const { disabled } = state;
    const others: ImageFilter = {
        ...filter,
        ...(owner === undefined ? state : disabled !== undefined && { disabled }),
        activated: true,
    };
    if (filter.public !== false) {
        unions.push({ ...others, public: true });
    }
    if (filter.public !== true) {
        unions.push({ ...others, public: false, acl: account });
    }
    return unions;
}

/** The value of a parameter that may be given once. */
function single(params: ListParams, name: string): string | undefined {
    const value = params[name];
    if (value === undefined) {
        return undefined;
    }
    if (typeof value !== 'string') {
        throw invalidParameter(`Parameter ${show(name)} is given ${value.length} times; give it once.`, name);
    }
    return withoutNul(value, name);
}

/** No stored text has a NUL, and not every database can look for one. */
function withoutNul(value: string, name: string): string {
    if (hasNul(value) || hasNul(name)) {
        throw invalidParameter(`Parameter ${show(name)} has a NUL character in it.`, name);
    }
    return value;
}

/** A number of images; 0 is none. A wrong one is reported on the field `state` if it is no number at all. */
function readLimit(params: ListParams): number | undefined {
    const value = single(params, 'limit');
    if (value === undefined) {
        return undefined;
    }
    const limit = Number(value);
    if (Number.isNaN(limit)) {
        throw invalidParameter(`Parameter "limit" is ${show(value)}; it takes a whole number.`, 'state');
    }
    if (limit < 0 || !Number.isInteger(limit)) {
        throw invalidParameter(
            `Parameter "limit" is ${show(value)}; it takes 0 or more, in whole numbers.`,
            'limit',
        );
    }
    return limit === 0 ? undefined : Math.min(limit, Number.MAX_SAFE_INTEGER);
}

function readState(params: ListParams): string {
    const state = single(params, 'state') ?? 'active';
    if (!STATES.has(state)) {
        throw invalidParameter(
            `Parameter "state" is ${show(state)}; it takes one of ${[...STATES.keys()].join(', ')}.`,
            'state',
        );
    }
    return state;
}

function readPublic(params: ListParams): boolean | undefined {
    const value = single(params, 'public');
    const isPublic = toBoolean(value);
    if (value !== undefined && isPublic === undefined) {
        throw invalidParameter(`Parameter "public" is ${show(value)}; it takes true or false.`, 'public');
    }
    return isPublic;
}

/** `published_at`, or with an order behind a dot: `asc` or `ASC` is ascending, whatever else descending. */
function readOrder(params: ListParams): 'asc' | 'desc' {
    const sort = single(params, 'sort') ?? SORT_ATTRIBUTE;
    const [attribute, order = 'asc'] = sort.split('.');
    if (attribute !== SORT_ATTRIBUTE) {
        throw invalidParameter(
            `Parameter "sort" is ${show(sort)}; it takes published_at, published_at.asc or published_at.desc.`,
            'sort',
        );
    }
    return order === 'asc' || order === 'ASC' ? 'asc' : 'desc';
}

function readMarker(params: ListParams): ListMarker | undefined {
    const marker = single(params, 'marker');
    if (marker === undefined) {
        return undefined;
    }
    if (isUuid(marker)) {
        return { uuid: marker };
    }
    const date = new Date(marker);
    if (Number.isNaN(date.getTime())) {
        throw invalidParameter(
            `Parameter "marker" is ${show(marker)}; it takes the UUID of an image or a date.`,
            'marker',
        );
    }
    return { publishedAt: date.toISOString() };
}

/** The conditions that are taken as they stand. */
function readFilter(params: ListParams): ImageFilter {
    const name = single(params, 'name');
    const version = single(params, 'version');
    const owner = single(params, 'owner');
    const os = single(params, 'os');
    const type = single(params, 'type');
    const tagParams = Object.keys(params).filter((param) => param.startsWith(TAG_PREFIX));
    refuseMany(tagParams.length, 'tag');
    const asked = tagParams.map((param) => ({
        key: param.slice(TAG_PREFIX.length),
        value: single(params, param) ?? '',
    }));
    const tags = asked.filter(({ value }) => value !== '').map(({ key, value }) => `${key}=${value}`);
    // A tag without a value asks for the key, whatever its value.
    const tagKeys = asked.filter(({ value }) => value === '').map(({ key }) => key);
    const billingTags = [params.billing_tag ?? []].flat().map((tag) => withoutNul(tag, 'billing_tag'));
    refuseMany(billingTags.length, 'billing_tag');
    return {
        ...(name !== undefined && { name: textFilter(name) }),
        ...(version !== undefined && { version: textFilter(version) }),
        ...(owner !== undefined && { owner }),
        ...(os !== undefined && { os }),
        ...(type !== undefined && { type: type.startsWith('!') ? { not: type.slice(1) } : { is: type } }),
        ...(tags.length > 0 && { tags }),
        ...(tagKeys.length > 0 && { tagKeys }),
        ...(billingTags.length > 0 && { billingTags }),
    };
}

/** @throws ApiError InvalidParameter if so many tags are asked for that no database could look for all of them */
function refuseMany(count: number, name: string): void {
    if (count > MOST_TAGS) {
        throw invalidParameter(
            `The request asks for ${count} tags by parameter ${show(name)}; it takes at most ${MOST_TAGS}.`,
            name,
        );
    }
}

/** A leading `~` asks for a part of the text. */
function textFilter(value: string): { is: string } | { contains: string } {
    return value.startsWith('~') ? { contains: value.slice(1) } : { is: value };
}
