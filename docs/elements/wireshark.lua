-- Made by: martlet --print-elements wireshark. For tshark -X lua_script:FILE, or Wireshark's plugin folder.
-- Shows the elements of IPFIX messages that Wireshark has no names for, each as a field martlet.SCOPE.NAME.
local elements = {
  ["32473:90"] = {"martlet", "sourceCountryCode", "string"},
  ["32473:92"] = {"martlet", "sourceAsOrganization", "string"},
  ["32473:91"] = {"martlet", "destinationCountryCode", "string"},
  ["32473:93"] = {"martlet", "destinationAsOrganization", "string"},
  ["32473:200"] = {"martlet", "tunnelType", "string"},
  ["32473:201"] = {"martlet", "tunnelIdentifier", "unsigned32"},
  ["32473:20"] = {"martlet", "receiveQueue", "unsigned16"},
  ["32473:21"] = {"martlet", "filterExpression", "string"},
  ["8057:900"] = {"cesnet", "tcpMss", "unsigned32"},
  ["8057:901"] = {"cesnet", "tcpMssRev", "unsigned32"},
  ["8057:902"] = {"cesnet", "tcpSynSize", "unsigned16"},
  ["8057:1050"] = {"cesnet", "burstSrcPackets", "unsigned16"},
  ["8057:1051"] = {"cesnet", "burstSrcBytes", "unsigned16"},
  ["8057:1052"] = {"cesnet", "burstSrcTimeStart", "dateTimeMilliseconds"},
  ["8057:1053"] = {"cesnet", "burstSrcTimeStop", "dateTimeMilliseconds"},
  ["8057:1054"] = {"cesnet", "burstDstPackets", "unsigned16"},
  ["8057:1055"] = {"cesnet", "burstDstBytes", "unsigned16"},
  ["8057:1056"] = {"cesnet", "burstDstTimeStart", "dateTimeMilliseconds"},
  ["8057:1057"] = {"cesnet", "burstDstTimeStop", "dateTimeMilliseconds"},
  ["8057:14"] = {"cesnet", "DNSAnswers", "unsigned16"},
  ["8057:1"] = {"cesnet", "DNSRCode", "unsigned8"},
  ["8057:3"] = {"cesnet", "DNSQType", "unsigned16"},
  ["8057:4"] = {"cesnet", "DNSClass", "unsigned16"},
  ["8057:5"] = {"cesnet", "DNSRRTTL", "unsigned32"},
  ["8057:6"] = {"cesnet", "DNSRDataLength", "unsigned16"},
  ["8057:8"] = {"cesnet", "DNSPSize", "unsigned16"},
  ["8057:9"] = {"cesnet", "DNSRDO", "unsigned8"},
  ["8057:10"] = {"cesnet", "DNSTransactionID", "unsigned16"},
  ["8057:2"] = {"cesnet", "DNSName", "string"},
  ["8057:7"] = {"cesnet", "DNSRData", "string"},
  ["8057:826"] = {"cesnet", "DNSSDQueries", "string"},
  ["8057:827"] = {"cesnet", "DNSSDResponses", "string"},
  ["32473:100"] = {"martlet", "meanIpTotalLength", "float32"},
  ["32473:101"] = {"martlet", "deviationIpTotalLength", "float32"},
  ["32473:102"] = {"martlet", "minimumPacketGap", "unsigned32"},
  ["32473:103"] = {"martlet", "meanPacketGap", "float32"},
  ["32473:104"] = {"martlet", "deviationPacketGap", "float32"},
  ["32473:105"] = {"martlet", "maximumPacketGap", "unsigned32"},
  ["32473:106"] = {"martlet", "tcpEceTotalCount", "unsigned64"},
  ["32473:107"] = {"martlet", "tcpCwrTotalCount", "unsigned64"},
  ["32473:110"] = {"martlet", "biflowMinimumIpTotalLength", "unsigned64"},
  ["32473:111"] = {"martlet", "biflowMeanIpTotalLength", "float32"},
  ["32473:112"] = {"martlet", "biflowDeviationIpTotalLength", "float32"},
  ["32473:113"] = {"martlet", "biflowMaximumIpTotalLength", "unsigned64"},
  ["32473:114"] = {"martlet", "biflowMinimumPacketGap", "unsigned32"},
  ["32473:115"] = {"martlet", "biflowMeanPacketGap", "float32"},
  ["32473:116"] = {"martlet", "biflowDeviationPacketGap", "float32"},
  ["32473:117"] = {"martlet", "biflowMaximumPacketGap", "unsigned32"},
  ["32473:120"] = {"martlet", "biflowTcpFinTotalCount", "unsigned64"},
  ["32473:121"] = {"martlet", "biflowTcpSynTotalCount", "unsigned64"},
  ["32473:122"] = {"martlet", "biflowTcpRstTotalCount", "unsigned64"},
  ["32473:123"] = {"martlet", "biflowTcpPshTotalCount", "unsigned64"},
  ["32473:124"] = {"martlet", "biflowTcpAckTotalCount", "unsigned64"},
  ["32473:125"] = {"martlet", "biflowTcpUrgTotalCount", "unsigned64"},
  ["32473:126"] = {"martlet", "biflowTcpEceTotalCount", "unsigned64"},
  ["32473:127"] = {"martlet", "biflowTcpCwrTotalCount", "unsigned64"},
  ["39499:20"] = {"flowmon", "httpUserAgent", "string"},
  ["8057:200"] = {"cesnet", "httpMethod", "string"},
  ["39499:1"] = {"flowmon", "httpHost", "string"},
  ["39499:3"] = {"flowmon", "httpReferer", "string"},
  ["39499:2"] = {"flowmon", "httpUrl", "string"},
  ["39499:10"] = {"flowmon", "httpContentType", "string"},
  ["8057:201"] = {"cesnet", "httpServer", "string"},
  ["8057:202"] = {"cesnet", "httpCookieNames", "string"},
  ["39499:12"] = {"flowmon", "httpStatusCode", "unsigned16"},
  ["32473:50"] = {"martlet", "httpVersion", "string"},
  ["8057:850"] = {"cesnet", "IDPContent", "octetArray"},
  ["8057:851"] = {"cesnet", "IDPContentRev", "octetArray"},
  ["32473:300"] = {"martlet", "modelName", "string"},
  ["32473:301"] = {"martlet", "modelLabel", "string"},
  ["32473:302"] = {"martlet", "modelScore", "float32"},
  ["32473:303"] = {"martlet", "modelLatency", "unsigned32"},
  ["32473:304"] = {"martlet", "model2Name", "string"},
  ["32473:305"] = {"martlet", "model2Label", "string"},
  ["32473:306"] = {"martlet", "model2Score", "float32"},
  ["32473:307"] = {"martlet", "model2Latency", "unsigned32"},
  ["32473:308"] = {"martlet", "model3Name", "string"},
  ["32473:309"] = {"martlet", "model3Label", "string"},
  ["32473:310"] = {"martlet", "model3Score", "float32"},
  ["32473:311"] = {"martlet", "model3Latency", "unsigned32"},
  ["32473:312"] = {"martlet", "model4Name", "string"},
  ["32473:313"] = {"martlet", "model4Label", "string"},
  ["32473:314"] = {"martlet", "model4Score", "float32"},
  ["32473:315"] = {"martlet", "model4Latency", "unsigned32"},
  ["8057:1033"] = {"cesnet", "mqttTypeCumulative", "unsigned16"},
  ["8057:1034"] = {"cesnet", "mqttVersion", "unsigned8"},
  ["8057:1035"] = {"cesnet", "mqttConnectionFlags", "unsigned8"},
  ["8057:1036"] = {"cesnet", "mqttKeepAlive", "unsigned16"},
  ["8057:1037"] = {"cesnet", "mqttConnectionReturnCode", "unsigned8"},
  ["8057:1038"] = {"cesnet", "mqttPublishFlags", "unsigned8"},
  ["8057:1039"] = {"cesnet", "mqttTopics", "string"},
  ["8057:832"] = {"cesnet", "NBSuffix", "unsigned8"},
  ["8057:831"] = {"cesnet", "NBName", "string"},
  ["8057:1020"] = {"cesnet", "ntsMeanPacketPayload", "float32"},
  ["8057:1021"] = {"cesnet", "ntsMinPacketPayload", "unsigned16"},
  ["8057:1022"] = {"cesnet", "ntsMaxPacketPayload", "unsigned16"},
  ["8057:1023"] = {"cesnet", "ntsStdevPacketPayload", "float32"},
  ["8057:1024"] = {"cesnet", "ntsKurtosisPacketPayload", "float32"},
  ["8057:1025"] = {"cesnet", "ntsRootMeanSquarePacketPayload", "float32"},
  ["8057:1026"] = {"cesnet", "ntsAverageDispersionPacketPayload", "float32"},
  ["8057:1027"] = {"cesnet", "ntsMeanScaledTime", "float32"},
  ["8057:1028"] = {"cesnet", "ntsMeanDifftimes", "float32"},
  ["8057:1029"] = {"cesnet", "ntsMinDifftimes", "float32"},
  ["8057:1030"] = {"cesnet", "ntsMaxDifftimes", "float32"},
  ["8057:1031"] = {"cesnet", "ntsTimeDistribution", "float32"},
  ["8057:1032"] = {"cesnet", "ntsSwitchingRatio", "float32"},
  ["8057:18"] = {"cesnet", "NTPLeap", "unsigned8"},
  ["8057:19"] = {"cesnet", "NTPVersion", "unsigned8"},
  ["8057:20"] = {"cesnet", "NTPMode", "unsigned8"},
  ["8057:21"] = {"cesnet", "NTPStratum", "unsigned8"},
  ["8057:22"] = {"cesnet", "NTPPoll", "unsigned8"},
  ["8057:23"] = {"cesnet", "NTPPrecision", "unsigned8"},
  ["8057:24"] = {"cesnet", "NTPDelay", "unsigned32"},
  ["8057:25"] = {"cesnet", "NTPDispersion", "unsigned32"},
  ["8057:26"] = {"cesnet", "NTPRefID", "string"},
  ["8057:27"] = {"cesnet", "NTPRef", "string"},
  ["8057:28"] = {"cesnet", "NTPOrig", "string"},
  ["8057:29"] = {"cesnet", "NTPRecv", "string"},
  ["8057:30"] = {"cesnet", "NTPSent", "string"},
  ["8057:852"] = {"cesnet", "OSQueryProgramName", "string"},
  ["8057:853"] = {"cesnet", "OSQueryUsername", "string"},
  ["8057:854"] = {"cesnet", "OSQueryOSName", "string"},
  ["8057:855"] = {"cesnet", "OSQueryOSMajor", "unsigned16"},
  ["8057:856"] = {"cesnet", "OSQueryOSMinor", "unsigned16"},
  ["8057:857"] = {"cesnet", "OSQueryOSBuild", "string"},
  ["8057:858"] = {"cesnet", "OSQueryOSPlatform", "string"},
  ["8057:859"] = {"cesnet", "OSQueryOSPlatformLike", "string"},
  ["8057:860"] = {"cesnet", "OSQueryOSArch", "string"},
  ["8057:861"] = {"cesnet", "OSQueryKernelVersion", "string"},
  ["8057:862"] = {"cesnet", "OSQuerySystemHostname", "string"},
  ["8057:828"] = {"cesnet", "OVPNConfLevel", "unsigned8"},
  ["8057:11"] = {"cesnet", "DNSAType", "unsigned16"},
  ["8057:1060"] = {"cesnet", "phistSrcSizes", "unsigned32"},
  ["8057:1062"] = {"cesnet", "phistDstSizes", "unsigned32"},
  ["8057:1061"] = {"cesnet", "phistSrcInterPacketTime", "unsigned32"},
  ["8057:1063"] = {"cesnet", "phistDstInterPacketTime", "unsigned32"},
  ["8057:1013"] = {"cesnet", "packetLength", "signed16"},
  ["8057:1014"] = {"cesnet", "packetTime", "dateTimeMilliseconds"},
  ["32473:1"] = {"martlet", "packetTimeMicroseconds", "dateTimeMicroseconds"},
  ["8057:1015"] = {"cesnet", "packetFlag", "unsigned8"},
  ["8057:1016"] = {"cesnet", "packetDirection", "signed8"},
  ["32473:160"] = {"martlet", "ipDiffServCodePoints", "unsigned64"},
  ["32473:161"] = {"martlet", "ipCongestionNotificationCodes", "unsigned8"},
  ["32473:162"] = {"martlet", "ipCongestionExperiencedCount", "unsigned32"},
  ["32473:163"] = {"martlet", "flowLabelIPv6ChangeCount", "unsigned16"},
  ["8057:890"] = {"cesnet", "quicSNI", "string"},
  ["8057:891"] = {"cesnet", "quicUserAgent", "string"},
  ["8057:892"] = {"cesnet", "quicVersion", "unsigned32"},
  ["8057:893"] = {"cesnet", "quicClientVersion", "unsigned32"},
  ["8057:894"] = {"cesnet", "quicTokenLength", "unsigned64"},
  ["8057:895"] = {"cesnet", "quicOCCID", "octetArray"},
  ["8057:896"] = {"cesnet", "quicOSCID", "octetArray"},
  ["8057:897"] = {"cesnet", "quicSCID", "octetArray"},
  ["8057:898"] = {"cesnet", "quicRetrySCID", "octetArray"},
  ["8057:899"] = {"cesnet", "quicMultiplexed", "unsigned8"},
  ["8057:889"] = {"cesnet", "quicZeroRTT", "unsigned8"},
  ["8057:887"] = {"cesnet", "quicServerPort", "unsigned16"},
  ["8057:888"] = {"cesnet", "quicPackets", "unsigned8"},
  ["8057:886"] = {"cesnet", "quicCHParsed", "unsigned8"},
  ["8057:885"] = {"cesnet", "quicTlsExtType", "unsigned16"},
  ["8057:884"] = {"cesnet", "quicTlsExtLen", "unsigned16"},
  ["8057:883"] = {"cesnet", "quicTlsExt", "octetArray"},
  ["32473:190"] = {"martlet", "quicClientAlpn", "string"},
  ["32473:191"] = {"martlet", "quicJa4", "string"},
  ["32473:192"] = {"martlet", "quicTlsCipherSuite", "unsigned16"},
  ["32473:193"] = {"martlet", "quicTlsServerVersion", "unsigned16"},
  ["32473:194"] = {"martlet", "quicTlsEncryptedClientHello", "unsigned8"},
  ["32473:195"] = {"martlet", "quicShortHeaderID", "octetArray"},
  ["32473:196"] = {"martlet", "quicReverseShortHeaderID", "octetArray"},
  ["8057:1040"] = {"cesnet", "rtspMethod", "string"},
  ["8057:1041"] = {"cesnet", "rtspUserAgent", "string"},
  ["8057:1042"] = {"cesnet", "rtspUri", "string"},
  ["8057:1043"] = {"cesnet", "rtspStatusCode", "unsigned16"},
  ["8057:1045"] = {"cesnet", "rtspServer", "string"},
  ["8057:1044"] = {"cesnet", "rtspContentType", "string"},
  ["32473:80"] = {"martlet", "handshakeServerRoundTrip", "unsigned32"},
  ["32473:81"] = {"martlet", "handshakeClientRoundTrip", "unsigned32"},
  ["32473:82"] = {"martlet", "tcpRetransmissionCount", "unsigned32"},
  ["32473:83"] = {"martlet", "tcpOutOfOrderCount", "unsigned32"},
  ["32473:84"] = {"martlet", "tcpZeroWindowCount", "unsigned32"},
  ["8057:100"] = {"cesnet", "SIPMsgType", "unsigned16"},
  ["8057:101"] = {"cesnet", "SIPStatusCode", "unsigned16"},
  ["8057:108"] = {"cesnet", "SIPCseq", "string"},
  ["8057:103"] = {"cesnet", "SIPCallingParty", "string"},
  ["8057:104"] = {"cesnet", "SIPCalledParty", "string"},
  ["8057:102"] = {"cesnet", "SIPCallID", "string"},
  ["8057:106"] = {"cesnet", "SIPUserAgent", "string"},
  ["8057:107"] = {"cesnet", "SIPRequestURI", "string"},
  ["8057:105"] = {"cesnet", "SIPVia", "string"},
  ["8057:810"] = {"cesnet", "SMTPCommands", "unsigned32"},
  ["8057:811"] = {"cesnet", "SMTPMailCount", "unsigned32"},
  ["8057:812"] = {"cesnet", "SMTPRcptCount", "unsigned32"},
  ["8057:815"] = {"cesnet", "SMTPStatusCodes", "unsigned32"},
  ["8057:816"] = {"cesnet", "SMTPCode2XXCount", "unsigned32"},
  ["8057:817"] = {"cesnet", "SMTPCode3XXCount", "unsigned32"},
  ["8057:818"] = {"cesnet", "SMTPCode4XXCount", "unsigned32"},
  ["8057:819"] = {"cesnet", "SMTPCode5XXCount", "unsigned32"},
  ["8057:820"] = {"cesnet", "SMTPDomain", "string"},
  ["8057:813"] = {"cesnet", "SMTPSender", "string"},
  ["8057:814"] = {"cesnet", "SMTPRecipient", "string"},
  ["8057:903"] = {"cesnet", "ssaConfLevel", "unsigned8"},
  ["8057:821"] = {"cesnet", "SSDPLocationPort", "unsigned16"},
  ["8057:824"] = {"cesnet", "SSDPNT", "string"},
  ["8057:823"] = {"cesnet", "SSDPUserAgent", "string"},
  ["8057:825"] = {"cesnet", "SSDPST", "string"},
  ["8057:822"] = {"cesnet", "SSDPServer", "string"},
  ["32473:70"] = {"martlet", "sshClientVersion", "string"},
  ["32473:71"] = {"martlet", "sshServerVersion", "string"},
  ["32473:72"] = {"martlet", "sshHassh", "octetArray"},
  ["32473:73"] = {"martlet", "sshHasshServer", "octetArray"},
  ["32473:74"] = {"martlet", "sshClientAlgorithms", "string"},
  ["32473:75"] = {"martlet", "sshServerAlgorithms", "string"},
  ["32473:76"] = {"martlet", "sshClientHostKeyAlgorithms", "string"},
  ["32473:77"] = {"martlet", "sshServerHostKeyAlgorithms", "string"},
  ["39499:333"] = {"flowmon", "tlsServerVersion", "unsigned16"},
  ["8057:808"] = {"cesnet", "TLSSNI", "string"},
  ["39499:337"] = {"flowmon", "tlsAlpn", "string"},
  ["39499:357"] = {"flowmon", "tlsJa3Fingerprint", "octetArray"},
  ["8057:809"] = {"cesnet", "tlsJa4", "string"},
  ["8057:802"] = {"cesnet", "tlsExtTypeField", "unsigned16"},
  ["8057:803"] = {"cesnet", "tlsExtLenField", "unsigned16"},
  ["32473:10"] = {"martlet", "tlsClientAlpn", "string"},
  ["32473:11"] = {"martlet", "tlsCipherSuite", "unsigned16"},
  ["32473:12"] = {"martlet", "tlsClientVersion", "unsigned16"},
  ["32473:13"] = {"martlet", "tlsJa3sFingerprint", "octetArray"},
  ["32473:15"] = {"martlet", "tlsEncryptedClientHello", "unsigned8"},
  ["32473:16"] = {"martlet", "tlsServerExtType", "unsigned16"},
  ["32473:170"] = {"martlet", "tlsCertificateSubject", "string"},
  ["32473:171"] = {"martlet", "tlsCertificateIssuer", "string"},
  ["32473:172"] = {"martlet", "tlsCertificateSerialNumber", "octetArray"},
  ["32473:173"] = {"martlet", "tlsCertificateNotBefore", "dateTimeMilliseconds"},
  ["32473:174"] = {"martlet", "tlsCertificateNotAfter", "dateTimeMilliseconds"},
  ["32473:175"] = {"martlet", "tlsCertificateSha256", "octetArray"},
  ["32473:176"] = {"martlet", "tlsCertificateKeyType", "string"},
  ["32473:177"] = {"martlet", "tlsCertificateKeyBits", "unsigned16"},
  ["32473:178"] = {"martlet", "tlsCertificateChainLength", "unsigned8"},
  ["32473:202"] = {"martlet", "tunnelSourceAddress", "octetArray"},
  ["32473:203"] = {"martlet", "tunnelDestinationAddress", "octetArray"},
  ["32473:204"] = {"martlet", "tunnelSourceTransportPort", "unsigned16"},
  ["32473:205"] = {"martlet", "tunnelDestinationTransportPort", "unsigned16"},
  ["32473:206"] = {"martlet", "tunnelProtocolIdentifier", "unsigned8"},
  ["32473:207"] = {"martlet", "tunnelDepth", "unsigned8"},
  ["8057:1100"] = {"cesnet", "WGConfLevel", "unsigned8"},
  ["8057:1101"] = {"cesnet", "WGSrcPeer", "unsigned32"},
  ["8057:1102"] = {"cesnet", "WGDstPeer", "unsigned32"},
}

local protocol = Proto("martlet", "IPFIX elements by name")
local fields, list = {}, {}
for key, element in pairs(elements) do
  fields[key] = ProtoField.string("martlet." .. element[1] .. "." .. element[2], element[1] .. ":" .. element[2])
  list[#list + 1] = fields[key]
end
protocol.fields = list
local version = Field.new("cflow.version")
-- By exporter, observation domain and template: its fields.
local templates = {}

local function time(seconds, fraction)
  return os.date("!%Y-%m-%dT%H:%M:%S", seconds) .. fraction .. "Z"
end

-- The value of a field as text.
local function text(range, kind)
  local length = range and range:len() or 0
  if length == 0 then return "" end
  if kind == "string" then return range:string() end
  if kind == "octetArray" or length > 16 then return range:bytes():tohex(true) end
  if kind == "ipv4Address" and length == 4 then return tostring(range:ipv4()) end
  if kind == "ipv6Address" and length == 16 then return tostring(range:ipv6()) end
  if kind == "macAddress" and length == 6 then return tostring(range:ether()) end
  if kind:sub(1, 5) == "float" then return tostring(range:float()) end
  if kind == "dateTimeMilliseconds" and length == 8 then
    local value = range:uint64():tonumber()
    return time(math.floor(value / 1000), string.format(".%03d", value % 1000))
  end
  if (kind == "dateTimeMicroseconds" or kind == "dateTimeNanoseconds") and length == 8 then
    local micros = math.floor(range(4, 4):uint() * 1000000 / 4294967296)
    return time(range(0, 4):uint() - 2208988800, string.format(".%06d", micros))
  end
  if kind:sub(1, 6) == "signed" then
    return length <= 4 and tostring(range:int()) or tostring(range:int64())
  end
  if length > 8 then return range:bytes():tohex(true) end
  return length <= 4 and tostring(range:uint()) or tostring(range:uint64())
end

-- Reads field specifiers; what they are, and where they end.
local function specifiers(tvb, offset, count, stop)
  local found = {}
  for _ = 1, count do
    if offset + 4 > stop then return nil end
    local id, length, enterprise = tvb(offset, 2):uint(), tvb(offset + 2, 2):uint(), 0
    offset = offset + 4
    if id >= 32768 then
      if offset + 4 > stop then return nil end
      enterprise = tvb(offset, 4):uint()
      offset = offset + 4
    end
    found[#found + 1] = {key = enterprise .. ":" .. id % 32768, length = length}
  end
  return found, offset
end

local function readTemplates(tvb, offset, stop, scope, isOptions)
  while offset + 4 <= stop do
    local id, count = tvb(offset, 2):uint(), tvb(offset + 2, 2):uint()
    local found, following = specifiers(tvb, offset + (isOptions and 6 or 4), count, stop)
    if not found or id < 256 then return end
    templates[scope .. ":" .. id] = found
    offset = following
  end
end

-- A basicList (RFC 6313): its element and its entries.
local function addList(tvb, offset, stop, tree)
  local inner, entry = specifiers(tvb, offset + 1, 1, stop)
  local element = inner and elements[inner[1].key]
  local width = inner and inner[1].length or 0
  if not element or width == 0 or width == 65535 then return end
  local values = {}
  while entry + width <= stop do
    values[#values + 1] = text(tvb(entry, width), element[3])
    entry = entry + width
  end
  tree:add(fields[inner[1].key], tvb(offset, stop - offset), table.concat(values, ","))
end

local function readRecords(tvb, offset, stop, template, tree)
  local shortest = 0
  for _, field in ipairs(template) do shortest = shortest + (field.length == 65535 and 1 or field.length) end
  while shortest > 0 and offset + shortest <= stop do
    for _, field in ipairs(template) do
      local length = field.length
      if length == 65535 then
        if offset + 1 > stop then return end
        length = tvb(offset, 1):uint()
        offset = offset + 1
        if length == 255 then
          if offset + 2 > stop then return end
          length = tvb(offset, 2):uint()
          offset = offset + 2
        end
      end
      if offset + length > stop then return end
      if elements[field.key] then
        tree:add(fields[field.key], length > 0 and tvb(offset, length) or tvb(offset - 1, 1),
          text(length > 0 and tvb(offset, length) or nil, elements[field.key][3]))
      elseif field.key == "0:291" and length >= 5 then
        addList(tvb, offset, offset + length, tree)
      end
      offset = offset + length
    end
  end
end

function protocol.dissector(_, pinfo, root)
  for _, info in ipairs({version()}) do
    local tvb, start = info.source, info.offset
    if info.value == 10 and start + 16 <= tvb:len() then
      local stop = math.min(start + tvb(start + 2, 2):uint(), tvb:len())
      local scope = tostring(pinfo.src) .. ":" .. pinfo.src_port .. ":" .. tvb(start + 12, 4):uint()
      local tree = root:add(protocol, tvb(start, stop - start))
      local offset = start + 16
      while offset + 4 <= stop do
        local id, length = tvb(offset, 2):uint(), tvb(offset + 2, 2):uint()
        if length < 4 or offset + length > stop then break end
        if id == 2 or id == 3 then
          readTemplates(tvb, offset + 4, offset + length, scope, id == 3)
        elseif templates[scope .. ":" .. id] then
          readRecords(tvb, offset + 4, offset + length, templates[scope .. ":" .. id], tree)
        end
        offset = offset + length
      end
    end
  end
end

register_postdissector(protocol)
