"""The stand-in for AWS: Partner Central (selling, benefits) and AWS Marketplace (catalog, agreements, a seller's metering feed).

One address serves all services, as `endpoint_url` of an unmodified boto3 client wants it. What AWS refuses is taken from
botocore's own service models; what no recording shows is marked INVENTED where it is made.
"""
