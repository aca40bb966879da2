// A script for Wireshark: its own dissector knows the elements of a fixed list of enterprises, and nothing that could be added to.
// So the script reads the messages a second time and adds what it finds, with a filter field for each element.
import IPFIX

/// A Lua script that names elements in Wireshark and tshark.
enum WiresharkFile {
  /// The table of elements and the code that looks for them.
  static func text(_ elements: [ExportedElement], martlet: UInt32) -> String {
    let rows = elements.map(\.element).filter { $0.owner != .iana }.map { element in
      "  [\"\(element.enterpriseNumber(martlet: martlet)):\(element.identifier)\"] = "
        + "{\"\(element.owner.name)\", \"\(element.name)\", \"\(element.type)\"},"
    }
    return heading + "local elements = {\n" + rows.joined(separator: "\n") + "\n}\n" + code
  }

  private static let heading = """
    -- Made by: martlet --print-elements wireshark. For tshark -X lua_script:FILE, or Wireshark's plugin folder.
    -- Shows the elements of IPFIX messages that Wireshark has no names for, each as a field martlet.SCOPE.NAME.

    """

  private static let code = #"""

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

    """#
}
