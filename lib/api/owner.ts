import { ApiError } from '../errors';
import type { Services } from './call';

/**
 * Checks that the account an image is to belong to exists (ufds.md §5). Only a datacenter has accounts: elsewhere any
 * owner will do.
 *
 * @param owner a uuid
 * @throws ApiError OwnerDoesNotExist; ServiceUnavailableError if the directory of accounts cannot say
 */
export async function assertOwnerExists(
    { accounts }: Pick<Services, 'accounts'>,
    owner: string,
): Promise<void> {
    if (accounts && !(await accounts.find(owner))) {
        throw new ApiError('OwnerDoesNotExist', `The owner "${owner}" is not an account of this datacenter.`);
    }
}
