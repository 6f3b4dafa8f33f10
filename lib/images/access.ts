/** Who may see an image, and the state that follows from its switches (endpoints.md §2, manifest.md §3). */
import { rawBoolean, type ImageState, type RawImage } from '../manifest';

/**
 * Whether the request may see the image and its files. Without an account every image may be seen. An account sees
 * its own images, and of the others the activated ones that are public or shared with it, disabled or not.
 *
 * @param raw a normalised record
 */
export function canRead(raw: RawImage, account: string | undefined): boolean {
    if (account === undefined || raw.owner === account) {
        return true;
    }
    return rawBoolean(raw.activated) && (rawBoolean(raw.public) || raw.acl?.includes(account) === true);
}

/** The state to store with an image after it was activated, enabled or disabled. */
export function computeState(
    raw: Pick<RawImage, 'activated' | 'disabled'>,
): Extract<ImageState, 'active' | 'disabled' | 'unactivated'> {
    if (!rawBoolean(raw.activated)) {
        return 'unactivated';
    }
    return rawBoolean(raw.disabled) ? 'disabled' : 'active';
}
